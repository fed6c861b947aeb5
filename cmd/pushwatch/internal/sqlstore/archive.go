package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

var _ notify.Archive = (*DB)(nil)

// recordColumns are the columns that decodeRecord reads.
const recordColumns = `d.shard, d.id, e.id, e.type, e.subject, d.notifier, d.state, d.attempts, d.next_attempt_at,
	d.last_error, d.created_at, d.settled_at`

// decodeRecord reads a row of recordColumns.
func decodeRecord(scan scanner) (r notify.Record, err error) {
	err = scan(&r.ID.Shard, &r.ID.ID, &r.EventID, &r.Type, &r.Subject, &r.Notifier, &r.State, &r.Attempts,
		(*moment)(&r.NextAttemptAt), &r.LastError, (*moment)(&r.CreatedAt), (*moment)(&r.SettledAt))
	return r, err
}

// Deliveries implements [notify.Archive].
func (db *DB) Deliveries(ctx context.Context, q notify.Query) ([]notify.Record, error) {
	var records []notify.Record
	query, args, err := selectRecords(q)
	if err == nil {
		records, err = list(ctx, db, decodeRecord, query, args...)
	}
	return records, wrap(err, "read deliveries")
}

// selectRecords returns the statement of a query. The deliveries of an event or task are
// found through the event and then sorted: the plus sign keeps both databases from
// scanning all deliveries in order.
func selectRecords(q notify.Query) (string, []any, error) {
	shard := `d.shard`
	if q.EventID != "" || q.Task != (watcher.Key{}) {
		shard = `+d.shard`
	}
	var w where
	w.when(q.After != notify.DeliveryID{}, `(`+shard+`, d.id) < (?, ?)`, q.After.Shard, q.After.ID)
	switch q.State { // a literal, because a partial index needs state = 'dead' in the statement
	case "":
	case notify.Pending, notify.Delivered, notify.Dead:
		w.and(`d.state = '` + string(q.State) + `'`)
	default:
		return "", nil, fmt.Errorf("unknown state %q: want pending, delivered or dead", q.State)
	}
	w.when(q.Notifier != "", `d.notifier = ?`, q.Notifier)
	w.when(q.EventID != "", `e.id = ?`, q.EventID)
	w.when(q.Task != watcher.Key{}, `e.sdk_app_id = ? AND e.task_id = ?`, q.Task.SDKAppID, q.Task.TaskID)
	return `SELECT ` + recordColumns + ` FROM deliveries d JOIN events e ON e.shard = d.shard AND e.number = d.event` +
		w.String() + ` ORDER BY ` + shard + ` DESC, d.id DESC LIMIT ?`, append(w.args, cmp.Or(q.Limit, defaultPage)), nil
}

// Delivery implements [notify.Archive].
func (db *DB) Delivery(ctx context.Context, id notify.DeliveryID) (notify.Record, []notify.Attempt, error) {
	var log, uncounted string
	r, err := one(ctx, db, func(scan scanner) (notify.Record, error) { return decodeRecord(scan.and(&log, &uncounted)) }, `SELECT `+recordColumns+`, d.log, d.uncounted FROM deliveries d
		JOIN events e ON e.shard = d.shard AND e.number = d.event WHERE d.shard = ? AND d.id = ?`, id.Shard, id.ID)
	if errors.Is(err, sql.ErrNoRows) {
		err = notify.ErrNoDelivery
	}
	var attempts []notify.Attempt
	if err == nil {
		attempts, err = decodeLogs(log, uncounted)
	}
	return r, attempts, wrap(err, "read delivery %s", id)
}

// Attempts implements [notify.Archive].
func (db *DB) Attempts(ctx context.Context, ids []notify.DeliveryID) (map[notify.DeliveryID][]notify.Attempt, error) {
	attempts := make(map[notify.DeliveryID][]notify.Attempt, len(ids))
	err := eachOfRows(ctx, db, func(scan scanner) error {
		var id notify.DeliveryID
		var log, uncounted string
		err := scan(&id.Shard, &id.ID, &log, &uncounted)
		if err == nil {
			attempts[id], err = decodeLogs(log, uncounted)
		}
		return err
	}, `SELECT shard, id, log, uncounted FROM deliveries WHERE (log <> '' OR uncounted <> '') AND (shard, id) IN (VALUES %s)`, rowsOf(ids, deliveryRow))
	return attempts, wrap(err, "read attempts of deliveries")
}

// deliveryRow returns the key of a delivery as a row.
func deliveryRow(id notify.DeliveryID) []any { return []any{id.Shard, id.ID} }

// decodeLogs reads both logs of a delivery and returns their attempts in order of time.
func decodeLogs(log, uncounted string) ([]notify.Attempt, error) {
	attempts, err := decodeLog(log, false)
	others, err2 := decodeLog(uncounted, true)
	attempts = append(attempts, others...)
	slices.SortStableFunc(attempts, func(a, b notify.Attempt) int { return a.At.Compare(b.At) })
	return attempts, errors.Join(err, err2)
}

// decodeLog reads a log of attempts, counted or uncounted.
func decodeLog(log string, uncounted bool) ([]notify.Attempt, error) {
	var attempts []notify.Attempt
	for line := range strings.Lines(log) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		attempts = append(attempts, notify.Attempt{
			At: l.At.Time, Status: l.Status, Error: l.Error, Duration: time.Duration(l.DurationMS) * time.Millisecond, Uncounted: uncounted,
		})
	}
	return attempts, nil
}

// Ahead implements [notify.Archive].
func (db *DB) Ahead(ctx context.Context, ids []notify.DeliveryID) (map[notify.DeliveryID]notify.DeliveryID, error) {
	ahead := make(map[notify.DeliveryID]notify.DeliveryID)
	err := eachOfRows(ctx, db, func(scan scanner) error {
		var id, first notify.DeliveryID
		err := scan(&id.Shard, &id.ID, &first.ID)
		first.Shard = id.Shard
		ahead[id] = first
		return err
	}, aheadStatement, rowsOf(ids, deliveryRow))
	return ahead, wrap(err, "read what deliveries wait for")
}

// aheadStatement finds what deliveries wait for. It joins the events of their tasks,
// which are few, in the written order: the plus signs and the form of the conditions on
// the state keep both databases from scanning everything that is pending.
const aheadStatement = `WITH k (shard, id) AS (VALUES %s)
	SELECT d.shard, d.id, MIN(p.id) FROM k CROSS JOIN deliveries d CROSS JOIN events e CROSS JOIN events f CROSS JOIN deliveries p
	WHERE d.shard = k.shard AND d.id = k.id AND d.state NOT IN ('delivered', 'dead') AND e.shard = d.shard AND e.number = d.event
		AND f.sdk_app_id = e.sdk_app_id AND f.task_id = e.task_id AND p.shard = d.shard AND p.event = f.number AND +f.shard = d.shard
		AND p.notifier = d.notifier AND +p.id < d.id AND p.state NOT IN ('delivered', 'dead')
	GROUP BY d.shard, d.id`

// Tallies implements [notify.Archive].
func (db *DB) Tallies(ctx context.Context) (map[string]notify.Tally, error) {
	tallies := make(map[string]notify.Tally)
	err := db.each(ctx, func(scan scanner) error {
		var notifier string
		var n int
		var since time.Time
		err := scan(&notifier, &n, (*moment)(&since))
		t := tallies[notifier]
		t.Pending += n
		if t.Oldest.IsZero() || since.Before(t.Oldest) {
			t.Oldest = since
		}
		tallies[notifier] = t
		return err
	}, `SELECT p.notifier, p.n, COALESCE(d.replayed_at, d.created_at)
		FROM (SELECT shard, notifier, COUNT(*) AS n, MIN(position) AS first FROM deliveries WHERE state = 'pending' GROUP BY shard, notifier) p
		JOIN deliveries d ON d.shard = p.shard AND d.notifier = p.notifier AND d.position = p.first AND d.state = 'pending'`)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	dead, err := pairs[string, int](ctx, db, `SELECT notifier, COUNT(*) FROM deliveries WHERE state = 'dead' GROUP BY notifier`)
	for notifier, n := range dead {
		t := tallies[notifier]
		t.Dead = n
		tallies[notifier] = t
	}
	return tallies, wrap(err, "count deliveries")
}
