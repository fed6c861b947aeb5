//go:build unix

package web

import "golang.org/x/sys/unix"

// openFiles is how many files this process may open at once; 0: that is not known.
func openFiles() uint64 {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	return files.Cur
}
