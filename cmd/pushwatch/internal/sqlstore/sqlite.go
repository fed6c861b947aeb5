package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqliteReaders is how many connections read a SQLite file at once.
const sqliteReaders = 4

// openSQLite opens a file, which is made where there is none, and locks it
// against other processes.
func openSQLite(path string) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, errors.New("want the path of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if path, err = realPath(path); err != nil { // for one file to have one lock
		return nil, err
	}
	lock, used, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	if err := prepareFile(path, used); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db := &DB{lock: lock, path: path}
	if db.file, err = os.Stat(path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if db.writer, err = sql.Open("sqlite", sqliteDSN(path, url.Values{"_txlock": {"immediate"}, "_auto_vacuum": {"INCREMENTAL"}})); err == nil {
		db.reader, err = sql.Open("sqlite", sqliteDSN(path, url.Values{"_query_only": {"true"}}))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db.writer.SetMaxOpenConns(1)
	db.reader.SetMaxOpenConns(sqliteReaders)
	db.reader.SetMaxIdleConns(sqliteReaders)
	return db, nil
}

// realPath returns the path of a database's file without symbolic links. The file need
// not be there yet, its folder must be.
func realPath(path string) (string, error) {
	for range 40 { // as many links as the kernel follows
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", folderFault(path, err)
		}
		to, err := os.Readlink(path)
		if err != nil { // no link, and no file
			folder, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", folderFault(path, err)
			}
			return filepath.Join(folder, filepath.Base(path)), nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s leads to too many links", path)
}

// sqliteDSN is the name by which the driver opens path. A commit is on the disk
// when it returns (synchronous=FULL): with less, a power cut could forget an
// event whose webhook is already out.
func sqliteDSN(path string, options url.Values) string {
	options.Set("_busy_timeout", "10000") // ms; only a backup or a person's shell ever holds the file
	options.Set("_journal_mode", "WAL")
	options.Set("_synchronous", "FULL")
	options.Set("_pragma", "journal_size_limit(67108864)") // bytes: after a burst the log shrinks again
	return fileURI(path, options)
}

// fileURI is a file as SQLite takes it with options. On Windows a path begins with a drive.
func fileURI(path string, options url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}).String()
}

// folderFault says what is to do where a file could not be made for want of its folder.
func folderFault(path string, err error) error {
	if to, err := os.Readlink(path); err == nil {
		path = to
	}
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w %s: it does not exist: create it, owned by the user that runs pushwatch", ErrFolder, folder)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w %s: its file system is read-only: mount it writable", ErrFolder, folder)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w %s: it cannot be written: give it to the user that runs pushwatch", ErrFolder, folder)
	default:
		return err
	}
}

// lockFile creates and locks the file at path. The lock is the kernel's: it ends
// with the process, however that ends. The file stays, for removing it would let
// two processes lock two files of one name. used is whether it was there.
func lockFile(path string) (lock *os.File, used bool, err error) {
	lock, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		used = true
		lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	}
	if err != nil {
		return nil, false, folderFault(path, err)
	}
	if err := lockExclusive(lock); err != nil {
		return nil, false, errors.Join(err, lock.Close())
	}
	return lock, used, nil
}
