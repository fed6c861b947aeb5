package sqlstore

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"pushwatch/watcher/loop"
)

// The pools of PostgreSQL connections. Idle connections are kept, because opening one costs
// more than a transaction. Their age is limited, so that a failover or a changed DNS answer
// takes effect.
const (
	postgresConns          = 16
	postgresHeartbeatConns = 2 // for heartbeats, which must not wait for other work
	postgresConnAge        = 30 * time.Minute
	postgresConnIdle       = 5 * time.Minute
	postgresConnTimeout    = 5 * time.Second
)

// postgresUnacked is how long sent data may stay unacknowledged. Together with
// postgresKeepAlive, which covers connections that are idle or wait for an answer, it
// detects a dead server machine within about 15 s.
const postgresUnacked = 15 * time.Second

var postgresKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3}

// openPostgres opens the pools. It also returns the URL without secrets, as a name.
func openPostgres(rawURL string, ttl time.Duration) (*DB, string, error) {
	name := redact(rawURL)
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, name, errors.New("not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full") // err may quote the password
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, postgresConnTimeout)
	dialer := net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: postgresKeepAlive, Control: boundUnacked}
	config.DialFunc = dialer.DialContext
	// One round trip per statement, and nothing that outlives it on the server: behind a
	// pooler in transaction mode, prepared statements would be lost.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0

	listening := config.Copy()
	// A pooler may send a notification to any connection. Without this the connections
	// would keep them all.
	config.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
	pool := func(conns int) *sql.DB {
		p := stdlib.OpenDB(*config)
		p.SetMaxOpenConns(conns)
		p.SetMaxIdleConns(conns)
		p.SetConnMaxLifetime(postgresConnAge)
		p.SetConnMaxIdleTime(postgresConnIdle)
		return p
	}
	all := pool(postgresConns)
	return &DB{
		postgres: true, writer: all, reader: all, heartbeats: pool(postgresHeartbeatConns), listening: listening,
		ttl: ttl, timeouts: timeouts(ttl), written: loop.NewSignal(),
	}, name, nil
}

// timeouts returns the statements that begin every writing transaction. Without them a
// process that is frozen within a transaction would keep the account's row locked, and
// block its own replacement, as long as its connection exists; with them it loses the
// connection well before it is replaced. They are set per transaction, because a pooler in
// transaction mode accepts them neither at the start of a connection nor for a session.
// enable_seqscan is off because every statement has an index for its rows, which the
// planner may miss while its statistics lack the rows that were just inserted.
func timeouts(ttl time.Duration) string {
	return fmt.Sprintf(`SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL statement_timeout = %d; SET LOCAL enable_seqscan = off`,
		(ttl / 2).Milliseconds(), commitTimeout.Milliseconds())
}

// redact returns a URL without user, password and parameters.
func redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return "(unreadable URL)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
