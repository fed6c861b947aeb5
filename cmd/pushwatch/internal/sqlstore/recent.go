package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"pushwatch/watcher"
)

// RecentEvents reads a page of events, newest first.
func (db *DB) RecentEvents(ctx context.Context, q watcher.RecentQuery) ([]watcher.RecentEvent, error) {
	var events []watcher.RecentEvent
	query, args := selectRecent(q)
	err := db.each(ctx, db.reader, func(scan scanner) error {
		e, err := decodeRecent(scan)
		events = append(events, e)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read recent events: %w", err)
	}
	return events, nil
}

// selectRecent returns the statement of a query.
func selectRecent(q watcher.RecentQuery) (string, []any) {
	var w where
	if b := q.Before; !b.At.IsZero() {
		w.and(`(at, shard, number) < (?, ?, ?)`, b.At.UnixMicro(), b.Shard, b.Number)
	}
	oneOf(&w, `type`, q.Types)
	if !q.Since.IsZero() {
		w.and(`at >= ?`, q.Since.UnixMicro())
	}
	if len(q.Keys) > 0 {
		args := make([]any, 0, 2*len(q.Keys))
		for _, k := range q.Keys {
			args = append(args, k.SDKAppID, k.TaskID)
		}
		w.and(`(sdk_app_id, task_id) IN (VALUES `+values(len(q.Keys), "BIGINT", "TEXT")+`)`, args...)
	}
	return `SELECT shard, number, type, body, at FROM events` + w.String() + ` ORDER BY at DESC, shard DESC, number DESC LIMIT ?`,
		append(w.args, cmp.Or(q.Limit, defaultPage))
}

// decodeRecent reads a row of an event, followed by columns for more.
func decodeRecent(scan scanner, more ...any) (watcher.RecentEvent, error) {
	var e watcher.RecentEvent
	var at int64
	err := scan(append([]any{&e.Shard, &e.Number, &e.Type, &e.Body, &at}, more...)...)
	e.At = time.UnixMicro(at).UTC()
	return e, err
}

// LastChanges reads the last event of each task, by its Sequence. Tasks without events, or
// whose events are past their retention, are left out.
func (db *DB) LastChanges(ctx context.Context, tasks []watcher.Task) (map[watcher.Key]watcher.RecentEvent, error) {
	last := make(map[watcher.Key]watcher.RecentEvent)
	for chunk := range slices.Chunk(tasks, rowsPerStatement) {
		var args []any
		for _, t := range chunk {
			args = append(args, t.SDKAppID, t.TaskID, t.Sequence)
		}
		err := db.each(ctx, db.reader, func(scan scanner) error {
			var key watcher.Key
			e, err := decodeRecent(scan, &key.SDKAppID, &key.TaskID)
			last[key] = e
			return err
		}, `WITH k (app, task, n) AS (VALUES `+values(len(chunk), "BIGINT", "TEXT", "BIGINT")+`)
			SELECT shard, number, type, body, at, app, task FROM k CROSS JOIN events
			WHERE sdk_app_id = app AND task_id = task AND sequence = n`, args...)
		if err != nil {
			return nil, fmt.Errorf("read last changes: %w", err)
		}
	}
	return last, nil
}
