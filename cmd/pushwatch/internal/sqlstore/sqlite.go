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

// openSQLite opens a file and locks it against other processes. It creates the file if it
// does not exist.
func openSQLite(path string) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, errors.New("want the path of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if path, err = realPath(path); err != nil { // so that a file has only one lock
		return nil, err
	}
	lock, used, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	if err := prepareFile(path, used); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db := &DB{lock: lock, path: path, statements: &statementCache{all: make(map[string]*sql.Stmt)}}
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

// realPath returns the path of a file without symbolic links. The file need not exist, its
// folder must.
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
		if err != nil { // neither a link nor a file
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

// sqliteDSN returns the driver's name for a file. A commit is on disk when it returns
// (synchronous=FULL): otherwise a power failure could lose an event whose webhook is
// already sent.
func sqliteDSN(path string, options url.Values) string {
	options.Set("_busy_timeout", "10000") // ms; only a backup or an operator's shell can hold a lock
	options.Set("_journal_mode", "WAL")
	options.Set("_synchronous", "FULL")
	options.Set("_pragma", "journal_size_limit(67108864)") // bytes: the log shrinks again after a burst
	return fileURI(path, options)
}

// fileURI returns the URI of a file with options for SQLite. On Windows a path begins with a
// drive letter.
func fileURI(path string, options url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}).String()
}

// folderFault adds advice to the error of creating a file, if its folder is the reason.
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
		return fmt.Errorf("%w %s: it is not writable: make the user that runs pushwatch its owner", ErrFolder, folder)
	default:
		return err
	}
}

// lockFile creates and locks the file at path. The kernel releases the lock when the
// process ends for any reason. The file is kept, because removing it would let two
// processes lock two files of the same name. used is whether it existed before.
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
