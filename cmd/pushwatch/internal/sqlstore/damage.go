package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrDamaged means that the SQLite file is damaged. A restart does not help: a backup must
// be restored.
var ErrDamaged = errors.New("the database is damaged")

// restoreSteps is how to restore a backup.
const restoreSteps = "to restore it, stop pushwatch, copy the file aside, remove those named like it with -wal and -shm, copy the last backup over the file, and start pushwatch again"

// IsDamaged reports whether err comes from a damaged SQLite file, at its opening or later.
func IsDamaged(err error) bool {
	if fault, ok := errors.AsType[*sqlite.Error](err); ok {
		code := fault.Code() & 0xff // without the extension
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	}
	return errors.Is(err, ErrDamaged)
}

// Damage wraps an error for which [IsDamaged] holds as an [ErrDamaged], with the steps to
// restore a backup. It returns other errors unchanged.
func Damage(err error) error {
	if !IsDamaged(err) || errors.Is(err, ErrDamaged) {
		return err
	}
	return damaged(err)
}

func damaged(cause error) error { return fmt.Errorf("%w: %w: %s", ErrDamaged, cause, restoreSteps) }

// prepareFile creates the file of a database if there is none, and refuses one that has
// lost its contents. used is whether a process has locked it before. The caller holds the
// lock.
func prepareFile(path string, used bool) error {
	file, err := os.Stat(path)
	if err == nil && file.Size() > 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return damaged(errors.New("the file is empty or gone, and its write-ahead log is not"))
	}
	switch {
	case err != nil:
		return createFile(path)
	case used:
		return damaged(errors.New("the file is empty, and was in use before"))
	default: // an empty file that was created for this
		return nil
	}
}

// createFile creates a database without tables that only its owner may read, for any
// umask. SQLite gives its write-ahead log and index the same mode. The file gets its name
// once it is complete, so that a crash leaves no empty one.
func createFile(path string) error {
	temp := path + ".new"
	for _, name := range []string{temp, temp + "-wal", temp + "-shm"} { // left by a crash
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return folderFault(path, err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteDSN(temp, url.Values{"_auto_vacuum": {"INCREMENTAL"}}))
	if err != nil {
		return err
	}
	_, err = db.Exec(`PRAGMA user_version = 0`) // the first statement opens the file and writes its header
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
