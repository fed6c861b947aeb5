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

	// notificationRest is the pause of a replica after sending a notification, and after
	// acting on one.
	notificationRest = 100 * time.Millisecond
	// firstNotification is how long a replica waits for its own first notification.
	firstNotification = 3 * time.Second
	// listenRetry is the wait before connecting again after the connection for
	// notifications broke; listenRetryLate, after it delivered none.
	listenRetry, listenRetryLate = 2 * time.Second, 5 * time.Minute
)

// notifyReplicas makes the other replicas look at the tables soon. Call it after a
// transaction that concerns them. A notification may be lost: they look regularly anyway.
//
// It is not part of the transaction, because PostgreSQL serializes the commits of
// transactions that notify: the accounts' writers would wait for each other's disk.
func (db *DB) notifyReplicas() { db.written.Notify() } // nil for SQLite

// sendNotifications notifies the other replicas, if there are any, of this one's writes,
// combining several into one notification.
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
			r.log.Debug("notifying replicas failed", zap.Error(err)) // they look regularly anyway
		}
		loop.Sleep(ctx, notificationRest)
	}
}

// sendNotification notifies the other replicas now.
func (r *Replica) sendNotification(ctx context.Context) error {
	return r.exec(ctx, `SELECT pg_notify($1, $2)`, notificationChannel, r.name)
}

// errNoNotifications means that the connection for notifications delivers none.
var errNoNotifications = errors.New("the replica's own notification did not arrive")

// receiveNotifications wakes the replica whenever another notifies it. Behind a pooler
// in transaction mode none arrives, not even the replica's own first one; then it tries
// again much later.
func (r *Replica) receiveNotifications(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.listen(ctx)
		wait := listenRetry
		if errors.Is(err, errNoNotifications) && ctx.Err() == nil {
			wait = listenRetryLate
			r.log.Info("no notifications from replicas", zap.Duration("looks_every", r.every()),
				zap.String("hint", "a connection pooler in transaction mode passes none on: changes by other replicas are noticed a little later"))
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
