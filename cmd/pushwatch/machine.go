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

// checkMachine adds what on this machine would keep serve, run by the same user, from
// starting: the folder of the database and the address of the API. It changes nothing.
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

// checkFolder returns why no file can be made in a folder; nil: one can.
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
		return fmt.Errorf("the folder %s cannot be written: give it to the user that runs pushwatch", folder)
	}
	return nil
}

// checkAddress returns why serve could not listen at the address. That somebody listens
// there now is no fault: it may be the daemon.
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

// checkSocket refuses the path of a file that is no socket.
func checkSocket(path string) error {
	if file, err := os.Lstat(path); err == nil && file.Mode()&fs.ModeSocket == 0 {
		return usagef("listen on unix:%s: there is a file that is no socket: want a path of its own, such as unix:/run/pushwatch/api.sock", path)
	}
	return nil
}
