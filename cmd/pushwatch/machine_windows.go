package main

// writable always returns true: on Windows only an attempt to create a file would tell.
func writable(string) bool { return true }
