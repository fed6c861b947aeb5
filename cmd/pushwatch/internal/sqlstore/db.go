// Package sqlstore stores tasks, events and deliveries in SQLite or PostgreSQL.
//
// A [DB] is the [watcher.Registry] of all accounts. [DB.Own] makes the caller the owner
// of one; the resulting [Account] is the owner's [watcher.Store] and [notify.Outbox].
// Ownership is an epoch: each Own raises it, and each transaction of an Account begins
// with the statement that both proves the epoch and allots the numbers of the new events.
// So an owner that was frozen and replaced can write nothing when it thaws.
//
// The writes of an account go through one goroutine, [Account.Run], which commits
// everything that was queued during the previous commit in one transaction (group
// commit). A single caller waits only for its own commit, and many share one fsync.
//
// Both databases run the same statements on the same tables. They differ in the form of
// parameters (see bind), in how a connection is opened, and in that the short statements
// of SQLite's writer stay prepared.
//
// # The tables
//
// The files in migrations create them and document their columns:
//
//   - accounts: with their epochs and the last allotted numbers. Every writer for an
//     account locks its row first, so that higher numbers are committed later. Only
//     retention does not: nothing else needs the rows that it deletes.
//   - tasks: the registered pushes, in their current state.
//   - task_labels: an index of the tasks' labels.
//   - checkpoints: per account, when its live tasks were last polled.
//   - events: with the bodies that are sent. An event is identified by its account (the
//     shard) and its number there.
//   - deliveries: one per event and notifier, with the log of its attempts. The position
//     is its place among the pending ones.
//   - notifiers: their persisted states.
//   - members and notes: messages between processes that share the database.
//
// # Several processes
//
// A SQLite file belongs to one process. A PostgreSQL database can be shared by several;
// each serves requests about all accounts and owns some of them: see [Replica]. A request
// that concerns another process's account goes through the tables, as pending deliveries
// or notes about tasks. Every process reads the tables at least every 1.5 s, and at once
// when another notifies it (LISTEN and NOTIFY); a notification may get lost. Nothing
// depends on the session of a connection, so a pooler in transaction mode may be in
// between; it passes no notifications on.
//
// Each process has at most 19 connections to PostgreSQL: 16 for work, two for the
// heartbeat, and one for notifications. The timeouts are 5 s for connecting, 30 s for a
// transaction, half of the TTL for an idle one, and 30 s for each row of a read. sslmode
// in the URL determines the use of TLS; by default TLS is tried and not required
// ("prefer"), so set "verify-full" over a network.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

// Errors of [Open] that a caller branches on.
var (
	// ErrLocked: another process has the SQLite file open.
	ErrLocked = errors.New("another pushwatch uses this database")
	// ErrFolder: the folder of the SQLite file is missing or not writable.
	ErrFolder = errors.New("cannot use the database's folder")
	// ErrNewer: a newer version of pushwatch has changed the tables. Nothing was
	// written.
	ErrNewer = errors.New("the database belongs to a newer version of pushwatch")
	// ErrAway: PostgreSQL cannot be reached, or is starting or stopping. A later try may
	// succeed.
	ErrAway = errors.New("PostgreSQL is not available")
	// ErrRefused: PostgreSQL was reached, but it refuses the URL's user, password,
	// database or TLS mode, or its certificate is not valid.
	ErrRefused = errors.New("PostgreSQL does not accept the URL's user, password, database or TLS mode")
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:/path/file.db", whose folder must exist, or
	// "postgres://user:password@host/database?…" with the parameters of libpq.
	URL string

	// TTL is how long a [Replica] may be silent before others take its accounts; 0: 10 s.
	// SQLite has no replicas.
	TTL time.Duration

	// Log gets a line for each change to the tables; nil: none.
	Log *zap.Logger
}

// A DB is an open database. It is safe for concurrent use.
type DB struct {
	postgres    bool
	writer      *sql.DB         // in SQLite one connection: writers queue for it, not for a lock
	reader      *sql.DB         // in PostgreSQL the same as writer
	statements  *statementCache // of SQLite's writer; nil for PostgreSQL
	lock        *os.File        // beside a SQLite file, held as long as the DB is open; nil for PostgreSQL
	readTimeout time.Duration
	health      health   // updated by every write
	owned       sync.Map // shard to *Account: of each account that this process owned, the newest

	changing sync.Mutex
	changed  chan struct{} // closed, and replaced, after each commit with events

	sweeping sync.Mutex               // held by Sweep
	swept    [len(sweepTables)]oldRow // where Sweep continues

	// Only for SQLite.
	path string      // of the file, without symbolic links
	file os.FileInfo // when it was opened

	// Only for PostgreSQL.
	heartbeats *sql.DB         // a pool of its own, so that heartbeats never wait for other work
	listening  *pgx.ConnConfig // for the connection that receives notifications
	timeouts   string          // begins every writing transaction
	ttl        time.Duration
	registered growth      // tasks
	written    loop.Signal // other replicas should read the tables
}

// defaultTTL is short enough for a takeover during a class, and longer than a restart of
// the database.
const defaultTTL = 10 * time.Second

// Replicated reports whether other processes may use the database at the same time. If so
// [DB.Join] distributes the accounts, otherwise [DB.Own] takes them.
func (db *DB) Replicated() bool { return db.postgres }

// Open connects to the database and migrates its tables to the current version. Its errors
// name the database but never a password.
func Open(ctx context.Context, c Config) (*DB, error) {
	return open(ctx, c, (*DB).refuseUnfinished)
}

// open is [Open] with checks to run before anything is written.
func open(ctx context.Context, c Config, checks ...func(*DB, context.Context) error) (*DB, error) {
	db, name, err := connect(c)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	db.readTimeout, db.health.log, db.changed = readTimeout, cmp.Or(c.Log, zap.NewNop()), make(chan struct{})
	for _, step := range append(checks, (*DB).migrate) {
		if err := step(db, ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("open store %s: %w", name, classify(err)), db.Close())
		}
	}
	return db, nil
}

// connect opens the database of a URL. It also returns a name for error messages.
func connect(c Config) (db *DB, name string, err error) {
	scheme, rest, _ := strings.Cut(c.URL, ":")
	switch scheme {
	case "sqlite":
		db, err = openSQLite(strings.TrimPrefix(rest, "//"))
		return db, c.URL, err
	case "postgres", "postgresql":
		return openPostgres(c.URL, cmp.Or(c.TTL, defaultTTL))
	}
	return nil, redact(c.URL), errors.New(`want "sqlite:/path/file.db" or "postgres://user@host/database"`)
}

// Close closes the database. Every [Account.Run] must have returned.
func (db *DB) Close() error {
	err := db.writer.Close()
	if db.reader != db.writer {
		err = errors.Join(err, db.reader.Close())
	}
	if db.heartbeats != nil {
		err = errors.Join(err, db.heartbeats.Close())
	}
	if db.lock != nil {
		err = errors.Join(err, db.lock.Close())
	}
	return err
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var n int64
	return wrap(db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM accounts`).Scan(&n), "ping store")
}

// write runs f in a transaction that is committed if f returns nil. After an error of the
// commit itself, the outcome is unknown.
func (db *DB) write(ctx context.Context, f func(transaction) error) error {
	err := db.transact(ctx, f)
	if ctx.Err() != context.Canceled { // a canceled write says nothing about the database
		db.health.record(err)
	}
	return err
}

// writeForOthers is write, after which the other replicas read the tables soon.
func (db *DB) writeForOthers(ctx context.Context, f func(transaction) error) error {
	err := db.write(ctx, f)
	if err == nil {
		db.notifyReplicas()
	}
	return err
}

// exec runs a statement in a transaction of its own.
func (db *DB) exec(ctx context.Context, query string) error {
	return db.write(ctx, func(tx transaction) error {
		_, err := tx.exec(ctx, query)
		return err
	})
}

func (db *DB) transact(ctx context.Context, f func(transaction) error) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after a commit
	if db.postgres {
		if _, err := tx.ExecContext(ctx, db.timeouts); err != nil {
			return err
		}
	}
	if err := f(transaction{tx, db}); err != nil {
		return err
	}
	if err := db.present(); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if !db.postgres {
		db.statements.prepareMissing(ctx, db.writer)
	}
	return nil
}
