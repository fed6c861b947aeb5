package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Errors of [Backup] that a caller branches on.
var (
	// ErrNotSQLite: the database is not a SQLite file.
	ErrNotSQLite = errors.New("only SQLite databases are backed up by this: for PostgreSQL use pg_dump, or its archiving")
	// ErrExists: the backup would overwrite a file.
	ErrExists = errors.New("the file exists: choose another name, or remove it")
)

// Backup copies the SQLite database of a URL to a new file and returns its size in bytes.
// The copy is a consistent snapshot, even while other processes write: Backup does not
// need the lock that [Open] takes. When it returns, the copy has been checked and is on
// disk; before that no file has its name. Its mode is 0600.
func Backup(ctx context.Context, url, dest string) (size int64, err error) {
	named := dest
	defer func() { err = wrap(err, "back up store to %s", named) }()
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return 0, ErrNotSQLite
	}
	if path, err = filepath.Abs(strings.TrimPrefix(path, "//")); err != nil {
		return 0, err
	}
	if dest, err = filepath.Abs(dest); err != nil {
		return 0, err
	}
	if _, err := os.Stat(path); err != nil { // the driver would create an empty one
		return 0, err
	}
	if _, err := os.Lstat(dest); err == nil {
		return 0, ErrExists
	}
	folder := filepath.Dir(dest)
	temp, err := os.CreateTemp(folder, ".pushwatch-backup-*")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return 0, fmt.Errorf("%w %s: %w", ErrFolder, folder, err)
	case err != nil:
		return 0, err
	}
	defer func() {
		err = errors.Join(err, temp.Close())
		os.Remove(temp.Name()) // after the link below, its second name
	}()
	if err := vacuumInto(ctx, path, temp.Name()); err != nil {
		return 0, err
	}
	if err := checkIntegrity(ctx, temp.Name()); err != nil {
		return 0, err
	}
	if err := temp.Sync(); err != nil {
		return 0, err
	}
	info, err := temp.Stat()
	if err != nil {
		return 0, err
	}
	err = os.Link(temp.Name(), dest) // unlike a rename, it never replaces a file
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, ErrExists
	case err != nil: // the file system has no links, such as FAT
		err = os.Rename(temp.Name(), dest)
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), syncFolder(folder)
}

// vacuumInto writes a snapshot of a database into an empty file. Writers continue; only
// the write-ahead log cannot shrink until it is done.
func vacuumInto(ctx context.Context, path, dest string) error {
	db, err := sql.Open("sqlite", sqliteDSN(path, url.Values{}))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, dest)
	return err
}

// checkIntegrity reads and checks all of a database that no one else uses.
func checkIntegrity(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURI(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&result); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if result != "ok" {
		return fmt.Errorf("the copy is damaged, and perhaps the database too: %s", result)
	}
	return nil
}

// syncFolder makes the file names in a folder survive a power failure.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // it has no such call
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
