package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"pushwatch/watcher"
)

// RecentEvents reads a page of events, newest first.
func (db *DB) RecentEvents(ctx context.Context, q watcher.RecentQuery) ([]watcher.RecentEvent, error) {
	query, args := selectRecent(q)
	events, err := list(ctx, db, decodeEvent, query, args...)
	return events, wrap(err, "read recent events")
}

// selectRecent returns the statement of a query.
func selectRecent(q watcher.RecentQuery) (string, []any) {
	var w where
	w.when(!q.Before.At.IsZero(), `(at, shard, number) < (?, ?, ?)`, q.Before.At.UnixMicro(), q.Before.Shard, q.Before.Number)
	oneOf(&w, `type`, q.Types)
	w.when(!q.Since.IsZero(), `at >= ?`, q.Since.UnixMicro())
	if len(q.Keys) > 0 {
		w.and(`(sdk_app_id, task_id) IN (VALUES `+values(len(q.Keys), "BIGINT", "TEXT")+`)`, slices.Concat(rowsOf(q.Keys, keyRow)...)...)
	}
	return `SELECT ` + eventColumns + ` FROM events` + w.String() + ` ORDER BY at DESC, shard DESC, number DESC LIMIT ?`,
		append(w.args, cmp.Or(q.Limit, defaultPage))
}

// eventColumns are the columns that decodeEvent reads.
const eventColumns = `shard, number, type, body, at`

// decodeEvent reads a row of eventColumns.
func decodeEvent(scan scanner) (e watcher.RecentEvent, err error) {
	err = scan(&e.Shard, &e.Number, &e.Type, &e.Body, (*moment)(&e.At))
	return e, err
}

// LastChanges reads the last event of each task, by its Sequence. Tasks without events, or
// whose events are past their retention, are left out.
func (db *DB) LastChanges(ctx context.Context, tasks []watcher.Task) (map[watcher.Key]watcher.RecentEvent, error) {
	rows := rowsOf(tasks, func(t watcher.Task) []any { return []any{t.SDKAppID, t.TaskID, t.Sequence} })
	last := make(map[watcher.Key]watcher.RecentEvent)
	err := eachOfRows(ctx, db, func(scan scanner) error {
		var key watcher.Key
		e, err := decodeEvent(scan.and(&key.SDKAppID, &key.TaskID))
		last[key] = e
		return err
	}, `WITH k (app, task, n) AS (VALUES %s)
		SELECT `+eventColumns+`, app, task FROM k CROSS JOIN events
		WHERE sdk_app_id = app AND task_id = task AND sequence = n`, rows)
	return last, wrap(err, "read last changes")
}
