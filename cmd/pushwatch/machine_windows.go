package main

// writable reports whether this user may make files in a folder, as far as is known.
func writable(string) bool { return true }
