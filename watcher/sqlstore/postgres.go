package sqlstore

import (
	"cmp"
	"errors"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// The pool of PostgreSQL connections. Idle ones are kept, for opening one costs
// more than a transaction; none grows old, so that a failover or a changed DNS
// answer is noticed.
const (
	postgresConns       = 16
	postgresConnAge     = 30 * time.Minute
	postgresConnIdle    = 5 * time.Minute
	postgresConnTimeout = 5 * time.Second
)

// postgresTimeouts begins every writing transaction. A process that is frozen in
// the middle of one would otherwise keep the account's row locked, and block its
// own replacement, for as long as its connection lives. They are set for each
// transaction, since a pooler in transaction mode accepts them neither at the
// start of a connection nor for a whole session.
const postgresTimeouts = `SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL statement_timeout = '30s'`

// openPostgres makes a pool. The name it returns is the URL without its secrets.
func openPostgres(rawURL string) (*DB, string, error) {
	name := redact(rawURL)
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, name, errors.New("not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full") // err may quote the password
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, postgresConnTimeout)
	// One round trip for a statement, and nothing that outlives it on the server:
	// prepared statements would be lost behind a pooler in transaction mode.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0

	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	pool.SetConnMaxLifetime(postgresConnAge)
	pool.SetConnMaxIdleTime(postgresConnIdle)
	return &DB{postgres: true, writer: pool, reader: pool}, name, nil
}

// redact is the part of a URL that may be shown: where it leads, and not by
// whose leave.
func redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return "(unreadable URL)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
