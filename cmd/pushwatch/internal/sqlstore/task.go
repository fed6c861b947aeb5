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

var taskTypes = []string{"BIGINT", "TEXT", "TEXT", "TEXT", "TEXT", "BIGINT", "BIGINT", "BIGINT",
	"BIGINT", "BIGINT", "TEXT", "TEXT", "BIGINT", "BIGINT", "TEXT"}

// encodeTask returns the row of a task.
func encodeTask(t *watcher.Task) []any {
	labels := "{}"
	if len(t.Labels) > 0 {
		labels = encodeJSON(t.Labels)
	}
	return []any{
		t.SDKAppID, t.TaskID, t.Account, string(t.State), labels,
		micros(t.ExpectedStopAt), t.RegisteredAt.UnixMicro(), micros(t.EndedAt),
		t.Version, t.Sequence, nullJSON(t.Push), nullJSON(t.Error),
		micros(t.LastObservedAt), micros(t.LastPolledAt), encodeJSON(t.Memory),
	}
}

// decodeTask reads a row of taskColumns, followed by columns for more.
func decodeTask(scan scanner, more ...any) (watcher.Task, error) {
	var (
		t                                         watcher.Task
		labels, memory                            string
		push, apiError                            sql.Null[string]
		registered, ended, stop, observed, polled sql.Null[int64]
	)
	dest := append([]any{&t.SDKAppID, &t.TaskID, &t.Account, &t.State, &labels, &stop, &registered, &ended,
		&t.Version, &t.Sequence, &push, &apiError, &observed, &polled, &memory}, more...)
	if err := scan(dest...); err != nil {
		return t, err
	}
	t.ExpectedStopAt, t.RegisteredAt, t.EndedAt = fromMicros(stop), fromMicros(registered), fromMicros(ended)
	t.LastObservedAt, t.LastPolledAt = fromMicros(observed), fromMicros(polled)
	for _, field := range []struct {
		text string
		into any
	}{{labels, &t.Labels}, {memory, &t.Memory}, {push.V, &t.Push}, {apiError.V, &t.Error}} {
		if field.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(field.text), field.into); err != nil {
			return t, fmt.Errorf("decode task %s: %w", t.Key, err)
		}
	}
	if len(t.Labels) == 0 {
		t.Labels = nil
	}
	return t, nil
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
	var t watcher.Task
	err := db.read(ctx, func(scan scanner) (err error) {
		t, err = decodeTask(scan)
		return err
	}, `SELECT `+taskColumns+` FROM tasks WHERE sdk_app_id = ? AND task_id = ? AND removed_at IS NULL`, key.SDKAppID, key.TaskID)
	if errors.Is(err, sql.ErrNoRows) {
		err = watcher.ErrNoTask
	}
	if err != nil {
		return watcher.Task{}, fmt.Errorf("read task %s: %w", key, err)
	}
	return t, nil
}
