package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

const (
	notificationChannel = "pushwatch" // of NOTIFY; each database has its own

	// notificationRest is how long a replica rests after it sent a notification, and
	// after it followed one.
	notificationRest = 100 * time.Millisecond
	// firstNotification is how soon a replica's first notification must come back to it.
	firstNotification = 3 * time.Second
	// listenRetry is how long after the connection for notifications broke another is
	// opened; listenRetryLate, after it brought none.
	listenRetry, listenRetryLate = 2 * time.Second, 5 * time.Minute
)

// notifyReplicas makes the other replicas look at the database soon, after a
// transaction that concerns them. A notification may be lost: they look every now and
// then anyway.
//
// It is not part of that transaction, since PostgreSQL commits those that notify
// one after the other: the accounts' writers would wait for each other's disk.
func (db *DB) notifyReplicas() { db.written.Notify() } // nil for SQLite

// sendNotifications notifies the other replicas, where there are any, of what this one
// has written, several writes at a time.
func (r *Replica) sendNotifications(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.db.written:
		}
		if r.alone.Load() {
			continue
		}
		if err := r.sendNotification(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("notify replicas", zap.Error(err)) // the others look anyway
		}
		loop.Sleep(ctx, notificationRest)
	}
}

// sendNotification notifies the other replicas now.
func (r *Replica) sendNotification(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.heartbeats.ExecContext(ctx, `SELECT pg_notify($1, $2)`, notificationChannel, r.name)
	return err
}

// errNoNotifications means that the connection for notifications brings none.
var errNoNotifications = errors.New("a notification did not come back")

// receiveNotifications wakes the replica whenever another notifies it. Behind a pooler
// in transaction mode no notification arrives, not even the replica's own first one;
// then it stops listening for a while.
func (r *Replica) receiveNotifications(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.listen(ctx)
		wait := listenRetry
		if errors.Is(err, errNoNotifications) && ctx.Err() == nil {
			wait = listenRetryLate
			r.log.Info("no notifications from replicas", zap.Duration("looks_every", r.every()),
				zap.String("hint", "a connection pooler in transaction mode passes none on: what other replicas do is seen a little later"))
		}
		loop.Sleep(ctx, wait)
	}
}

// listen receives notifications on a connection of its own, until ctx ends or it breaks.
func (r *Replica) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, r.db.listening)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN `+notificationChannel); err != nil {
		return err
	}
	if err := r.sendNotification(ctx); err != nil {
		return err
	}
	first, cancel := context.WithTimeoutCause(ctx, firstNotification, errNoNotifications)
	defer cancel()
	for wait := first; ; wait = ctx {
		n, err := conn.WaitForNotification(wait)
		if err != nil {
			return cmp.Or(context.Cause(wait), err)
		}
		if n.Payload != r.name {
			r.wake.Notify()
		}
	}
}
