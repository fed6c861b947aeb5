package sqlstore

import (
	"context"
	"database/sql"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// deliveryColumns are the columns that decodeDelivery reads, of a delivery d and its event e.
const deliveryColumns = `d.id, d.position, d.notifier, d.attempts, d.requests, d.uncounted, d.next_attempt_at, d.replayed_at,
	e.id, e.type, e.subject, e.sdk_app_id, e.task_id, e.at, e.body
	FROM deliveries d JOIN events e ON e.shard = d.shard AND e.number = d.event`

// decodeDelivery reads a row of deliveryColumns.
func (a *Account) decodeDelivery(scan scanner) (notify.Delivery, error) {
	d := notify.Delivery{Account: a.name}
	var app sql.Null[int64]
	var task sql.Null[string]
	var uncounted string
	err := scan(&d.ID, &d.Position, &d.Notifier, &d.Attempts, &d.Requests, &uncounted, (*moment)(&d.NextAttemptAt), (*moment)(&d.Since),
		&d.EventID, &d.Type, &d.Subject, &app, &task, (*moment)(&d.EventAt), &d.Body)
	if d.Since.IsZero() {
		d.Since = d.EventAt
	}
	d.Task = watcher.Key{SDKAppID: app.V, TaskID: task.V}
	if err == nil {
		d.Uncounted, err = decodeLog(uncounted, true)
	}
	return d, err
}

// Pending implements [notify.Outbox].
func (a *Account) Pending(ctx context.Context, notifier string, after int64, limit int) ([]notify.Delivery, error) {
	pending, err := list(ctx, a.db, a.decodeDelivery, `SELECT `+deliveryColumns+` WHERE d.shard = ? AND d.notifier = ? AND d.state = 'pending' AND d.position > ?
		ORDER BY d.position LIMIT ?`, a.shard, notifier, after, limit)
	return pending, wrap(err, "read pending deliveries to %s", notifier)
}

// Body implements [notify.Outbox].
func (a *Account) Body(ctx context.Context, id int64) ([]byte, error) {
	body, err := one(ctx, a.db, column[[]byte], `SELECT e.body FROM deliveries d
		JOIN events e ON e.shard = d.shard AND e.number = d.event WHERE d.shard = ? AND d.id = ?`, a.shard, id)
	return body, wrap(err, "read body of delivery %d", id)
}
