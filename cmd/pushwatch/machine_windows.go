package main

// writable always returns true: on Windows only an attempt to create a file would tell.
func writable(string) bool { return true }

// monotonic is used for systemd only, which Windows does not have.
func monotonic() int64 { return 0 }
