package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

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
	var next, replayed, app, at sql.Null[int64]
	var task sql.Null[string]
	var uncounted string
	err := scan(&d.ID, &d.Position, &d.Notifier, &d.Attempts, &d.Requests, &uncounted, &next, &replayed, &d.EventID, &d.Type, &d.Subject, &app, &task, &at, &d.Body)
	d.NextAttemptAt, d.EventAt, d.Since = fromMicros(next), fromMicros(at), fromMicros(at)
	if replayed.Valid {
		d.Since = fromMicros(replayed)
	}
	d.Task = watcher.Key{SDKAppID: app.V, TaskID: task.V}
	if err == nil {
		d.Uncounted, err = decodeLog(uncounted, true)
	}
	return d, err
}

// Pending implements [notify.Outbox].
func (a *Account) Pending(ctx context.Context, notifier string, after int64, limit int) ([]notify.Delivery, error) {
	var list []notify.Delivery
	err := a.db.each(ctx, a.db.reader, func(scan scanner) error {
		d, err := a.decodeDelivery(scan)
		list = append(list, d)
		return err
	}, `SELECT `+deliveryColumns+` WHERE d.shard = ? AND d.notifier = ? AND d.state = 'pending' AND d.position > ?
		ORDER BY d.position LIMIT ?`, a.shard, notifier, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read pending deliveries to %s: %w", notifier, err)
	}
	return list, nil
}

// Body implements [notify.Outbox].
func (a *Account) Body(ctx context.Context, id int64) ([]byte, error) {
	var body []byte
	err := a.db.read(ctx, func(scan scanner) error { return scan(&body) }, `SELECT e.body FROM deliveries d
		JOIN events e ON e.shard = d.shard AND e.number = d.event WHERE d.shard = ? AND d.id = ?`, a.shard, id)
	if err != nil {
		return nil, fmt.Errorf("read body of delivery %d: %w", id, err)
	}
	return body, nil
}
