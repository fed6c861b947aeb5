// Package sqlstore keeps tasks, events and deliveries in SQLite or PostgreSQL.
//
// A [DB] is the [watcher.Registry] of every account; [DB.Own] makes the caller
// the owner of one, and its [Account] is that owner's [watcher.Store] and
// [notify.Outbox]. Ownership is an epoch: each Own raises it, and each
// transaction of an Account begins with the statement that both proves the epoch
// and allots the numbers of the new events. So an owner that was frozen, and
// replaced, can write nothing when it thaws.
//
// The writes of an account go through one goroutine, [Account.Run], which
// commits together all that has queued up while the last commit was under way.
// A single caller thus waits for nothing but its own commit, and many share one fsync.
//
// Both databases run the same statements over the same tables. What differs is
// how a parameter is written (see bind), how a connection is opened, and that the short
// statements of SQLite's writer stay prepared.
//
// # The tables
//
// They are made by the files in migrations, which say what each column means:
//
//   - accounts: a row each, with its epoch and the numbers allotted last. Whoever
//     writes for an account locks its row first, so that what has higher numbers is
//     committed later. Only retention does not: nobody else wants what it drops.
//   - tasks: every push that is registered, as it stands.
//   - task_labels: the labels of the tasks, to find these by.
//   - checkpoints: one for each account, with when its live tasks were last polled.
//   - events: the facts, with the body that is sent. An event is named by its account
//     (the shard) and its number there.
//   - deliveries: one for each event and notifier, with the log of its attempts. Its
//     position says where it comes among those that wait.
//   - notifiers: their states.
//   - members and notes: what processes that share the database write for each other.
//
// # Several processes
//
// A SQLite file belongs to one process. A PostgreSQL database can have several, each
// of which answers for all accounts and owns a part of them: see [Replica]. What one
// asks of an account that another owns goes through the tables: pending deliveries,
// and notes about tasks. Every process looks at the tables each 1.5 s at least, and at
// once when another notifies it (LISTEN and NOTIFY); a notification may get lost. Nothing
// depends on the session of a connection, so that a pooler in transaction mode may
// stand between, behind which there are no notifications.
//
// Each process has 19 connections to PostgreSQL at most: 16 for work, two for the
// heartbeat, and one for notifications. Connecting takes 5 s at most, a transaction 30 s, and
// one that does nothing half of the TTL; a read waits 30 s for a row. TLS is as sslmode
// in the URL says; without it, TLS is tried and not required ("prefer"), so over a
// network say "verify-full".
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
	// ErrFolder: the folder of the SQLite file is missing or may not be written.
	ErrFolder = errors.New("cannot use the database's folder")
	// ErrNewer: a newer version of pushwatch has changed the tables. Nothing was
	// written.
	ErrNewer = errors.New("the database belongs to a newer version of pushwatch")
	// ErrAway: PostgreSQL cannot be reached, or is just starting or stopping: it
	// may be there if tried again.
	ErrAway = errors.New("PostgreSQL is not there")
	// ErrRefused: PostgreSQL, or its certificate, is there and does not accept what
	// the URL says: its user, password, database or TLS mode.
	ErrRefused = errors.New("PostgreSQL does not accept what the URL says")
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:/path/file.db", whose folder must exist, or
	// "postgres://user:password@host/database?…" with the parameters of libpq.
	URL string

	// TTL is how long a [Replica] may be silent before the others take its
	// accounts; 0: 10 s. SQLite has no replicas.
	TTL time.Duration

	// Log gets a line for each change to the tables; nil: none.
	Log *zap.Logger
}

// A DB is an open database. Its methods may be called from many goroutines.
type DB struct {
	postgres    bool
	writer      *sql.DB        // in SQLite one connection: writers queue here, not at a lock
	reader      *sql.DB        // in PostgreSQL the same as writer
	statements  statementCache // of SQLite's writer
	lock        *os.File       // beside a SQLite file, held for the life of the DB; else nil
	readTimeout time.Duration  // of a read
	saved       broadcast      // sent after each commit with events
	health      health         // fed by every write
	owned       sync.Map       // shard to *Account: the newest owner of each account that this process owned

	sweeping sync.Mutex               // held by Sweep
	swept    [len(sweepTables)]oldRow // how far its calls have come

	// Of SQLite alone.
	path string      // of the file, without symbolic links
	file os.FileInfo // as it was opened

	// Of PostgreSQL alone.
	heartbeats *sql.DB         // a pool of its own, so that the heartbeat waits behind nothing
	listening  *pgx.ConnConfig // for the connection of notifications
	timeouts   string          // begins every writing transaction
	ttl        time.Duration
	written    loop.Signal // something was written that other replicas should see
}

// defaultTTL keeps a takeover short for a class, and is longer than a restart of the
// database.
const defaultTTL = 10 * time.Second

// Replicated reports whether other processes may use the database at the same
// time. Then accounts are shared out by [DB.Join], and else taken by [DB.Own].
func (db *DB) Replicated() bool { return db.postgres }

// Open connects to the database and brings its tables up to date. Its errors
// name the database but never a password.
func Open(ctx context.Context, c Config) (*DB, error) {
	return open(ctx, c, (*DB).refuseUnfinished)
}

// open is Open, with checks of the database before anything is written to it.
func open(ctx context.Context, c Config, checks ...func(*DB, context.Context) error) (*DB, error) {
	db, name, err := connect(c)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	db.readTimeout, db.health.log = readTimeout, cmp.Or(c.Log, zap.NewNop())
	for _, check := range checks {
		if err := check(db, ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("open store %s: %w", name, sortFault(err)), db.Close())
		}
	}
	if err := db.migrate(ctx, db.health.log); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", name, sortFault(err)), db.Close())
	}
	return db, nil
}

// connect opens the database of a URL, and returns its name for messages too.
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
	if err := db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM accounts`).Scan(&n); err != nil {
		return fmt.Errorf("ping store: %w", err)
	}
	return nil
}

// write runs f in a transaction that is committed where f returns nil. An error
// from the commit itself leaves open whether it took place.
func (db *DB) write(ctx context.Context, f func(transaction) error) error {
	err := db.transact(ctx, f)
	if ctx.Err() != context.Canceled { // else the caller's end says nothing of the database
		db.health.record(err)
	}
	return err
}

func (db *DB) transact(ctx context.Context, f func(transaction) error) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
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
