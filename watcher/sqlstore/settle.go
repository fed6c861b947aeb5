package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// A logLine is an attempt as the log of its delivery keeps it.
type logLine struct {
	At         watcher.Timestamp `json:"at"`
	Status     int               `json:"status"`
	Error      string            `json:"error"`
	DurationMS int64             `json:"duration_ms"`
}

var outcomeTypes = []string{"BIGINT", "BIGINT", "TEXT", "BIGINT", "BIGINT", "TEXT", "TEXT", "BIGINT"}

// settle writes the outcomes of a group. One that was written before, or came
// late, finds a delivery with as many attempts, or none pending, and changes
// nothing.
func (tx transaction) settle(ctx context.Context, shard int64, group []*request) error {
	var outcomes []notify.Outcome
	for _, r := range group {
		outcomes = append(outcomes, r.outcomes...)
	}
	for _, round := range rounds(outcomes, func(o notify.Outcome) int64 { return o.ID }) {
		for chunk := range slices.Chunk(round, rowsPerStatement) {
			var args []any
			for _, o := range chunk {
				args = append(args, encodeOutcome(shard, o)...)
			}
			_, err := tx.exec(ctx, `WITH o (shard, id, state, attempts, next_attempt_at, last_error, log, settled_at)
				AS (VALUES `+values(len(chunk), outcomeTypes...)+`)
				UPDATE deliveries SET state = o.state, attempts = o.attempts, next_attempt_at = o.next_attempt_at,
					last_error = o.last_error, log = deliveries.log || o.log, settled_at = o.settled_at
				FROM o WHERE deliveries.shard = o.shard AND deliveries.id = o.id
					AND deliveries.state = 'pending' AND deliveries.attempts < o.attempts`, args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// encodeOutcome is the row of an outcome. What a receiver answered may be any
// bytes; those that PostgreSQL refuses in a text are replaced, lest one receiver
// hold up the transactions of all.
func encodeOutcome(shard int64, o notify.Outcome) []any {
	next, settled := micros(o.NextAttemptAt), micros(time.Time{})
	if o.State != notify.Pending {
		next, settled = settled, micros(o.Attempt.At.Add(o.Attempt.Duration))
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(o.Attempt.Error, "\uFFFD"), "\x00", "\uFFFD")
	line := encodeJSON(logLine{watcher.Timestamp{Time: o.Attempt.At}, o.Attempt.Status, text, o.Attempt.Duration.Milliseconds()})
	return []any{shard, o.ID, string(o.State), o.Attempts, next, text, line + "\n", settled}
}

var touchTypes = []string{"BIGINT", "TEXT", "BIGINT", "BIGINT", "BIGINT"}

// touch writes the times of the polled tasks of a group.
func (tx transaction) touch(ctx context.Context, group []*request) error {
	var tasks []watcher.Task
	for _, r := range group {
		tasks = append(tasks, r.touched...)
	}
	for _, round := range rounds(tasks, func(t watcher.Task) watcher.Key { return t.Key }) {
		for chunk := range slices.Chunk(round, rowsPerStatement) {
			var args []any
			for _, t := range chunk {
				args = append(args, t.SDKAppID, t.TaskID, t.Version, micros(t.LastObservedAt), micros(t.LastPolledAt))
			}
			_, err := tx.exec(ctx, `WITH p (sdk_app_id, task_id, version, last_observed_at, last_polled_at)
				AS (VALUES `+values(len(chunk), touchTypes...)+`)
				UPDATE tasks SET last_observed_at = p.last_observed_at, last_polled_at = p.last_polled_at
				FROM p WHERE tasks.sdk_app_id = p.sdk_app_id AND tasks.task_id = p.task_id
					AND tasks.version = p.version AND tasks.removed_at IS NULL`, args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
