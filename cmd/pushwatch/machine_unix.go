//go:build unix

package main

import "golang.org/x/sys/unix"

// writable reports whether this user may create files in a folder.
func writable(folder string) bool { return unix.Access(folder, unix.W_OK|unix.X_OK) == nil }

// monotonic returns CLOCK_MONOTONIC in microseconds, which systemd requires with RELOADING.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / 1000
}
