package main

// writable reports whether this user may make files in a folder. Here only an attempt
// would show it.
func writable(string) bool { return true }

// monotonic is for systemd, which is not here.
func monotonic() int64 { return 0 }
