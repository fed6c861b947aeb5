package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"pushwatch/watcher"
)

// The columns of a task, in the order of encodeTask and decodeTask.
const taskColumns = `sdk_app_id, task_id, account, state, labels, expected_stop_at, registered_at, ended_at,
	version, sequence, push, error, last_observed_at, last_polled_at, memory`

// encodeTask returns the row of a task.
func encodeTask(t *watcher.Task) []any {
	return []any{
		t.SDKAppID, t.TaskID, t.Account, string(t.State), encodeLabels(t.Labels),
		moment(t.ExpectedStopAt), t.RegisteredAt.UnixMicro(), moment(t.EndedAt),
		t.Version, t.Sequence, nullJSON(t.Push), nullJSON(t.Error),
		moment(t.LastObservedAt), moment(t.LastPolledAt), encodeJSON(t.Memory),
	}
}

// decodeTask reads a row of taskColumns.
func decodeTask(scan scanner) (watcher.Task, error) {
	var t watcher.Task
	err := scan(
		&t.SDKAppID, &t.TaskID, &t.Account, &t.State, jsonText{&t.Labels},
		(*moment)(&t.ExpectedStopAt), (*moment)(&t.RegisteredAt), (*moment)(&t.EndedAt),
		&t.Version, &t.Sequence, jsonText{&t.Push}, jsonText{&t.Error},
		(*moment)(&t.LastObservedAt), (*moment)(&t.LastPolledAt), jsonText{&t.Memory},
	)
	if len(t.Labels) == 0 {
		t.Labels = nil
	}
	return t, wrap(err, "decode task %s", t.Key)
}

// encodeLabels returns the labels of a task as JSON.
func encodeLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return "{}"
	}
	return encodeJSON(labels)
}

// encodeJSON returns v as JSON, with sorted keys and without characters that a TEXT column
// refuses, such as a zero byte.
func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // none of the types here can fail
	}
	return string(text)
}

// nullJSON returns *p as JSON; null for nil.
func nullJSON[T any](p *T) sql.Null[string] {
	if p == nil {
		return sql.Null[string]{}
	}
	return sql.Null[string]{V: encodeJSON(p), Valid: true}
}

// readTask reads a task that is not removed, or [watcher.ErrNoTask].
func (db *DB) readTask(ctx context.Context, key watcher.Key) (watcher.Task, error) {
	t, err := one(ctx, db, decodeTask, `SELECT `+taskColumns+` FROM tasks WHERE sdk_app_id = ? AND task_id = ? AND removed_at IS NULL`, key.SDKAppID, key.TaskID)
	if errors.Is(err, sql.ErrNoRows) {
		err = watcher.ErrNoTask
	}
	return t, wrap(err, "read task %s", key)
}
