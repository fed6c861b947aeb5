package sqlstore_test

import (
	"context"
	"path/filepath"
	"testing"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// A suiteDB is a DB as the suite wants it: Own returns an interface there.
type suiteDB struct{ *sqlstore.DB }

func (db suiteDB) Own(ctx context.Context, account string) (storetest.Account, error) {
	a, err := db.DB.Own(ctx, account)
	if err != nil {
		return nil, err
	}
	return a, nil
}

func openSuite(t *testing.T, url string) storetest.DB { return suiteDB{open(t, url)} }

// open opens a database, which the caller closes.
func open(t testing.TB, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func sqliteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "pushwatch.db") }

var (
	sqlite   = storetest.Backend{Fresh: func(t *testing.T) string { return sqliteURL(t) }, Open: openSuite}
	postgres = storetest.Backend{Fresh: func(t *testing.T) string { return storetest.Postgres(t) }, Open: openSuite}
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, sqlite)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, postgres)
}

func TestSQLiteCrash(t *testing.T) {
	t.Parallel()
	storetest.Crash(t, sqlite)
}

func TestPostgresCrash(t *testing.T) {
	t.Parallel()
	storetest.Crash(t, postgres)
}
