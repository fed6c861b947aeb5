//go:build unix

package sqlstore

import (
	"errors"
	"os"
	"syscall"
)

// lockExclusive locks an open file against other processes until it is closed. The error
// is [ErrLocked] if another process holds the lock.
func lockExclusive(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
