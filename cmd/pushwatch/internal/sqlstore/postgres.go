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

// The pools of PostgreSQL connections. Idle ones are kept, for opening one costs
// more than a transaction; none grows old, so that a failover or a changed DNS
// answer is noticed.
const (
	postgresConns          = 16
	postgresHeartbeatConns = 2 // for the heartbeat, which must not wait behind the others
	postgresConnAge        = 30 * time.Minute
	postgresConnIdle       = 5 * time.Minute
	postgresConnTimeout    = 5 * time.Second
)

// postgresKeepAlive finds out within some 15 s that a server's machine is gone, while
// a connection is idle or waits for its answer; postgresUnacked within as long, while
// what was sent is not acknowledged, when no keep-alive is sent.
const postgresUnacked = 15 * time.Second

var postgresKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3}

// openPostgres makes the pools. The name it returns is the URL without its secrets.
func openPostgres(rawURL string, ttl time.Duration) (*DB, string, error) {
	name := redact(rawURL)
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, name, errors.New("not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full") // err may quote the password
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, postgresConnTimeout)
	dialer := net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: postgresKeepAlive, Control: boundUnacked}
	config.DialFunc = dialer.DialContext
	// One round trip for a statement, and nothing that outlives it on the server:
	// prepared statements would be lost behind a pooler in transaction mode.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0

	listening := config.Copy()
	// A pooler may have a notification meet any connection, where it would be kept
	// for nobody.
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

// timeouts are the statements that begin every writing transaction. A process that
// is frozen in the middle of one would otherwise keep the account's row locked, and
// block its own replacement, for as long as its connection lives: it loses the
// connection well before it is replaced. They are set for each transaction, since a
// pooler in transaction mode accepts them neither at the start of a connection nor
// for a whole session. Every statement finds its rows by an index, which the planner
// may miss for as long as its statistics do not know what was just registered.
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
