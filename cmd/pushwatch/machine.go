package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkMachine adds faults of this machine that would keep serve, run by the same user,
// from starting: in the database's folder or the listen address. It changes nothing.
func (s *settings) checkMachine(d *document) {
	if text, err := s.Store.URL.Value(); err == nil {
		if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
			if err := checkFolder(filepath.Dir(strings.TrimPrefix(path, "//"))); err != nil {
				d.fault("store.url", ": %v", err)
			}
		}
	}
	if err := s.HTTP.checkAddress(); err != nil {
		d.fault("http.listen", ": %v", err)
	}
}

// checkFolder returns why no file can be created in a folder; nil: one can.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: create it, owned by the user that runs pushwatch", folder)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", folder)
	case !writable(folder):
		return fmt.Errorf("the folder %s is not writable: make the user that runs pushwatch its owner", folder)
	}
	return nil
}

// checkAddress returns why serve could not listen at the address. An address in use is no
// fault: the daemon itself may be listening there.
func (h *httpSettings) checkAddress() error {
	if path, ok := strings.CutPrefix(h.Listen, "unix:"); ok {
		return cmp.Or(checkSocket(path), checkFolder(filepath.Dir(path)))
	}
	l, err := bind("tcp", h.Listen)
	if err == nil {
		return l.Close()
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return err
	}
	return nil
}

// checkSocket returns an error if there is a file at the path that is not a socket.
func checkSocket(path string) error {
	if file, err := os.Lstat(path); err == nil && file.Mode()&fs.ModeSocket == 0 {
		return usagef("listen on unix:%s: the file there is not a socket: want another path, such as unix:/run/pushwatch/api.sock", path)
	}
	return nil
}
