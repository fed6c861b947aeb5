package sqlstore_test

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
)

// openError opens a database that must not open.
func openError(t *testing.T, url string) error {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url})
	if err == nil {
		db.Close()
		t.Fatalf("Open(%s) = nil, want an error", url)
	}
	return err
}

func TestOpenFaults(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, test := range []struct{ url, want string }{
		{"", "want \"sqlite:"},
		{"mysql://u:hunter2@host/db", "want \"sqlite:"},
		{"pushwatch.db", "want \"sqlite:"},
		{"sqlite:", "want the path of a file"},
		{"sqlite::memory:", "want the path of a file"},
		{"sqlite:" + folder + "/none/pushwatch.db", "open store sqlite:" + folder + "/none/pushwatch.db: cannot use the database's folder " + folder + "/none: it does not exist: create it"},
		{"sqlite:" + folder, "unable to open"},
		{"postgres://u:hunter2@host:port/db", "not a valid PostgreSQL URL"},
		{"postgres://u:hunter2%@host/db", "not a valid PostgreSQL URL"},
		{"postgres://u@host/db?password=hunter2&sslmode=maybe", "not a valid PostgreSQL URL"},
		{"postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable", "open store postgres://127.0.0.1:1/db: "},
	} {
		err := openError(t, test.url)
		if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q) = %v, want %q and no password", test.url, err, test.want)
		}
	}
}

func TestOpenUnwritable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	err := openError(t, "sqlite:"+folder+"/pushwatch.db")
	if want := "folder " + folder + ": it cannot be written"; !strings.Contains(err.Error(), want) {
		t.Errorf("Open() = %v, want %q", err, want)
	}
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	db := open(t, url)
	if err := openError(t, url); !errors.Is(err, sqlstore.ErrLocked) {
		t.Errorf("Open() of an open file = %v, want %v", err, sqlstore.ErrLocked)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping() after another was refused = %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("Ping() after Close = nil, want an error")
	}
	open(t, url).Close()
}

// TestOpenLockedByAnotherName opens one file by two names, of which the first is a link
// to what is not there yet.
func TestOpenLockedByAnotherName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "pushwatch.db"), filepath.Join(folder, "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][2]string{{link, file}, {file, link}, {link, file}} {
		db := open(t, "sqlite:"+names[0])
		if err := openError(t, "sqlite:"+names[1]); !errors.Is(err, sqlstore.ErrLocked) {
			t.Errorf("Open(%s) while %s is open = %v, want %v", names[1], names[0], err, sqlstore.ErrLocked)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want mode 0600", info, err)
	}
}

// TestOpenNewer pretends that a later version of the program was here.
func TestOpenNewer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		driver string
		url    func(testing.TB) string
	}{"sqlite": {"sqlite", sqliteURL}, "postgres": {"pgx", storetest.Postgres}} {
		t.Run(name, func(t *testing.T) {
			url := test.url(t)
			open(t, url).Close()
			raw, err := sql.Open(test.driver, strings.TrimPrefix(url, "sqlite:"))
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
				t.Fatal(err)
			}
			if err := openError(t, url); !errors.Is(err, sqlstore.ErrNewer) {
				t.Errorf("Open() = %v, want %v", err, sqlstore.ErrNewer)
			}
		})
	}
}

// TestOpenOddPath has a path with all that means something in a URL.
func TestOpenOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?c#d%20é.db")
	open(t, "sqlite:"+path).Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestOpenMode has a new database readable to its owner alone, and one that was made
// readable to others stay so.
func TestOpenMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pushwatch.db")
	for _, want := range []os.FileMode{0o600, 0o640} {
		db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + path})
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Error(err)
			} else if got := info.Mode().Perm(); got != want {
				t.Errorf("the mode of %s%s is %v, want %v", filepath.Base(path), suffix, got, want)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenTogether has replicas find an empty database at the same moment: each
// migration is done once.
func TestOpenTogether(t *testing.T) {
	url := storetest.Postgres(t)
	core, logs := observer.New(zap.InfoLevel)
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, Log: zap.New(core)})
			if err != nil {
				t.Errorf("Open() among others = %v", err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	done := make(map[any]int)
	for _, line := range logs.FilterMessage("tables changed").All() {
		done[line.ContextMap()["version"]]++
	}
	if len(done) == 0 {
		t.Error("no migration was done")
	}
	for version, n := range done {
		if n != 1 {
			t.Errorf("migration %v was done %d times, want once", version, n)
		}
	}
}

// TestSQLiteFile checks what a file must have had before its first table.
func TestSQLiteFile(t *testing.T) {
	t.Parallel()
	address := sqliteURL(t)
	open(t, address).Close()
	raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: strings.TrimPrefix(address, "sqlite:")}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for pragma, want := range map[string]string{"auto_vacuum": "2", "journal_mode": "wal"} {
		var got string
		if err := raw.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("PRAGMA %s = %s, %v, want %s", pragma, got, err, want)
		}
	}
}
