package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

const (
	hintChannel = "pushwatch" // of NOTIFY; each database has its own

	// hintRest is how long a replica rests after it gave a hint, and after it
	// followed one.
	hintRest = 100 * time.Millisecond
	// hintProof is how soon a replica's first hint must come back to itself.
	hintProof = 3 * time.Second
	// hintRetry is how long after the connection for hints broke, or brought none,
	// another is tried.
	hintRetry, hintRetryLate = 2 * time.Second, 5 * time.Minute
)

// hint has the other replicas look at the database, soon after the transaction that
// is worth it. A hint may be lost: they look every now and then anyway.
//
// It is not part of that transaction, since PostgreSQL commits those that notify
// one after the other: the accounts' writers would wait for each other's disk.
func (db *DB) hint() {
	select {
	case db.hinted <- struct{}{}: // never, for SQLite
	default:
	}
}

// giveHints tells the other replicas, where there are any, that there is something
// to see, several things at a time.
func (r *Replica) giveHints(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.db.hinted:
		}
		if r.alone.Load() {
			continue
		}
		if err := r.notify(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("give hint", zap.Error(err)) // the others look anyway
		}
		pause(ctx, hintRest)
	}
}

// notify gives a hint now.
func (r *Replica) notify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.beats.ExecContext(ctx, `SELECT pg_notify($1, $2)`, hintChannel, r.name)
	return err
}

// errNoHints means that the connection for hints brings none.
var errNoHints = errors.New("a hint did not come back")

// followHints has the replica look whenever another gives a hint. Behind a pooler in
// transaction mode no hint arrives, which shows at the first, one's own; then it
// gives up for a while.
func (r *Replica) followHints(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.listen(ctx)
		wait := hintRetry
		if errors.Is(err, errNoHints) && ctx.Err() == nil {
			wait = hintRetryLate
			r.log.Info("no hints from other replicas, as behind a connection pooler: what they do is seen a little later",
				zap.Duration("looks_every", r.every()))
		}
		pause(ctx, wait)
	}
}

// listen follows hints on a connection of its own, until ctx ends or it breaks.
func (r *Replica) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, r.db.listening)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN `+hintChannel); err != nil {
		return err
	}
	if err := r.notify(ctx); err != nil {
		return err
	}
	first, cancel := context.WithTimeoutCause(ctx, hintProof, errNoHints)
	defer cancel()
	for wait := first; ; wait = ctx {
		n, err := conn.WaitForNotification(wait)
		if err != nil {
			return cmp.Or(context.Cause(wait), err)
		}
		if n.Payload != r.name {
			r.wake()
		}
	}
}

// pause waits, until ctx ends at the latest.
func pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}
