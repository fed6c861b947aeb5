//go:build unix

package web

import "golang.org/x/sys/unix"

// openFiles returns how many files this process may have open; 0: unknown.
func openFiles() uint64 {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	return files.Cur
}
