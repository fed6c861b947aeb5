package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// replayRows is how many deliveries one transaction replays, so that the account's writer
// gets its turn in between.
const replayRows = 500

// Replay implements [notify.Archive]. A replayed delivery gets a position above all others,
// by which its account's owner finds it.
func (db *DB) Replay(ctx context.Context, which notify.Selection) (int, error) {
	shards := []int64{which.ID.Shard}
	var total int
	var err error
	if which.ID == (notify.DeliveryID{}) {
		shards, err = list(ctx, db, column[int64], `SELECT shard FROM accounts ORDER BY shard`)
	}
	if which.Until.IsZero() {
		which.Until = time.Now()
	}
	for _, shard := range shards {
		var last int64 // the last id of the previous step: a delivery that is dead again is not replayed twice
		for n := replayRows; err == nil && n == replayRows; {
			err = db.write(ctx, func(tx transaction) error {
				n, last, err = tx.replay(ctx, shard, which, last)
				return err
			})
			if err == nil && n > 0 {
				total += n
				db.wakeOwner(shard)
			}
		}
	}
	if err == nil && total == 0 && which.ID != (notify.DeliveryID{}) {
		_, _, err = db.Delivery(ctx, which.ID) // no error if it is pending
	}
	return total, wrap(err, "replay deliveries")
}

// selectDead finds some dead deliveries of a notifier. It joins the table with itself: only
// a query that needs nothing but the index of dead ones makes SQLite use it, instead of
// scanning all deliveries.
const selectDead = `SELECT k.id FROM deliveries k CROSS JOIN deliveries d
	WHERE k.shard = ? AND k.notifier = ? AND k.state = 'dead' AND k.id > ? AND d.shard = k.shard AND d.id = k.id
	AND d.created_at >= ? AND d.created_at < ? ORDER BY k.id LIMIT ?`

// replay makes some settled deliveries of an account pending again, those with ids above
// after, and returns how many and the last id. It locks the account's row first, as every
// writer does, so that positions become visible in order.
func (tx transaction) replay(ctx context.Context, shard int64, which notify.Selection, after int64) (n int, last int64, err error) {
	if _, err := tx.exec(ctx, `UPDATE accounts SET last_delivery = last_delivery WHERE shard = ?`, shard); err != nil {
		return 0, after, err
	}
	query := `SELECT id FROM deliveries WHERE shard = ? AND id = ? AND state <> 'pending'`
	args := []any{shard, which.ID.ID}
	if which.ID == (notify.DeliveryID{}) {
		query = selectDead
		args = []any{shard, which.Notifier, after, max(which.Since.UnixMicro(), 0), which.Until.UnixMicro(), replayRows}
	}
	ids, err := list(ctx, tx, column[int64], query, args...)
	if err != nil || len(ids) == 0 {
		return 0, after, err
	}
	var position int64
	err = tx.queryRow(ctx, `UPDATE accounts SET last_delivery = last_delivery + ? WHERE shard = ? RETURNING last_delivery`, len(ids), shard).Scan(&position)
	if err != nil {
		return 0, after, err
	}
	var rows [][]any
	for i, id := range ids {
		rows = append(rows, []any{shard, id, position - int64(len(ids)-1-i)})
	}
	n, err = tx.execRows(ctx, `WITH r (shard, id, position) AS (VALUES %s)
		UPDATE deliveries SET state = 'pending', position = r.position, attempts = 0, next_attempt_at = NULL,
			settled_at = NULL, replayed_at = CAST(? AS BIGINT)
		FROM r WHERE deliveries.shard = r.shard AND deliveries.id = r.id`, rows, time.Now().UnixMicro())
	return n, ids[len(ids)-1], err // n is fewer if retention deleted one in the meantime
}

// Announce implements [notify.Archive].
func (db *DB) Announce(ctx context.Context, e watcher.Event) error {
	var r request
	if err := r.announce(e); err != nil {
		return fmt.Errorf("announce %s: %w", e.ID, err)
	}
	a := Account{db: db}
	err := db.write(ctx, func(tx transaction) error {
		var lastEvent, lastDelivery int64
		n := int64(len(e.Notifiers))
		err := tx.queryRow(ctx, `UPDATE accounts SET last_event = last_event + 1, last_delivery = last_delivery + ?
			WHERE name = (SELECT MIN(name) FROM accounts WHERE owner IS NOT NULL)
			RETURNING name, shard, last_event, last_delivery`, n).Scan(&a.name, &a.shard, &lastEvent, &lastDelivery)
		if errors.Is(err, sql.ErrNoRows) {
			err = notify.ErrNoAccount
		}
		if err != nil {
			return err
		}
		written, err := tx.insertEvents(ctx, a.shard, number([]*request{&r}, lastEvent-1, lastDelivery-n))
		if err != nil {
			return err
		}
		_, err = a.insertDeliveries(ctx, tx, written)
		return err
	})
	if err != nil {
		return fmt.Errorf("announce %s: %w", e.ID, err)
	}
	db.notifyChanged()
	db.wakeOwner(a.shard)
	return nil
}
