package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// saveTasks writes the tasks of a group, each only if the saved version is the one below
// its own. It returns the requests whose events are to be written: those without a
// conflict, and the announcements.
func (tx transaction) saveTasks(ctx context.Context, group []*request) ([]*request, error) {
	changes := slices.DeleteFunc(slices.Clone(group), func(r *request) bool { return r.task == nil })
	for _, round := range rounds(changes, func(r *request) watcher.Key { return r.task.Key }) {
		if err := tx.updateTasks(ctx, round); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(group), func(r *request) bool { return len(r.events) == 0 || r.err != nil }), nil
}

// updateTasks writes tasks with distinct keys, and sets the error of those with a conflict.
func (tx transaction) updateTasks(ctx context.Context, changes []*request) error {
	rows := rowsOf(changes, func(r *request) []any { return append(encodeTask(r.task), r.task.Sequence-int64(len(r.events))) })
	saved := make(map[watcher.Key]bool, len(changes))
	err := eachOfRows(ctx, tx, func(scan scanner) error {
		var k watcher.Key
		err := scan(&k.SDKAppID, &k.TaskID)
		saved[k] = true
		return err
	}, saveStatement, rows)
	for _, r := range changes {
		if !saved[r.task.Key] {
			r.err = watcher.ErrConflict
		}
	}
	return err
}

// saveStatement writes tasks. Its condition that a task is not removed deliberately
// differs from those of the partial indexes: PostgreSQL would scan such an index while its
// statistics lack many new tasks.
const saveStatement = `WITH c (` + taskColumns + `, sequence_before) AS (VALUES %s)
	UPDATE tasks SET state = c.state, labels = c.labels, expected_stop_at = c.expected_stop_at, ended_at = c.ended_at,
		version = c.version, sequence = c.sequence, push = c.push, error = c.error,
		last_observed_at = c.last_observed_at, last_polled_at = c.last_polled_at, memory = c.memory
	FROM c WHERE tasks.sdk_app_id = c.sdk_app_id AND tasks.task_id = c.task_id AND tasks.account = c.account
		AND tasks.version = c.version - 1 AND tasks.sequence = c.sequence_before AND COALESCE(tasks.removed_at, 0) = 0
	RETURNING tasks.sdk_app_id, tasks.task_id`

// A numberedEvent is an event with its number and the ids of its deliveries.
type numberedEvent struct {
	*watcher.Event
	ofTask        bool
	subject       string
	number        int64
	firstDelivery int64
}

// number assigns numbers to the events of requests and ids to their deliveries, above the
// last ones.
func number(requests []*request, lastEvent, lastDelivery int64) []numberedEvent {
	var list []numberedEvent
	for _, r := range requests {
		for i := range r.events {
			lastEvent++
			e := numberedEvent{&r.events[i], r.task != nil, "", lastEvent, lastDelivery + 1}
			if e.ofTask {
				e.subject = e.Key.String()
			} else {
				e.subject = r.subjects[i]
			}
			list = append(list, e)
			lastDelivery += int64(len(e.Notifiers))
		}
	}
	return list
}

// insertEvents writes events and returns those that it wrote. Announcements that exist
// already are left out.
func (tx transaction) insertEvents(ctx context.Context, shard int64, events []numberedEvent) ([]numberedEvent, error) {
	rows := rowsOf(events, func(e numberedEvent) []any {
		return []any{
			shard, e.number, e.ID, string(e.Type), e.subject, sql.Null[int64]{V: e.SDKAppID, Valid: e.ofTask},
			sql.Null[string]{V: e.TaskID, Valid: e.ofTask}, sql.Null[int64]{V: e.Sequence, Valid: e.ofTask}, e.ObservedAt.UnixMicro(), string(e.Body),
		}
	})
	written := make(map[int64]bool, len(events))
	err := eachOfRows(ctx, tx, func(scan scanner) error {
		number, err := column[int64](scan)
		written[number] = true
		return err
	}, `INSERT INTO events (shard, number, id, type, subject, sdk_app_id, task_id, sequence, at, body)
		VALUES %s ON CONFLICT (id) DO NOTHING RETURNING number`, rows)
	if err != nil {
		return nil, err
	}
	var made []numberedEvent
	for _, e := range events {
		switch {
		case written[e.number]:
			made = append(made, e)
		case e.ofTask: // a task's event is always new, because its task was just saved
			return nil, fmt.Errorf("event %s exists already", e.ID)
		}
	}
	return made, nil
}

// insertDeliveries writes and returns a delivery for each notifier of each event.
func (a *Account) insertDeliveries(ctx context.Context, tx transaction, events []numberedEvent) ([]notify.Delivery, error) {
	var list []notify.Delivery
	var rows [][]any
	now := time.Now().UnixMicro()
	for _, e := range events {
		for i, notifier := range e.Notifiers {
			id, at := e.firstDelivery+int64(i), rounded(e.ObservedAt)
			d := notify.Delivery{
				ID: id, Position: id, Account: a.name, Notifier: notifier, EventID: e.ID, Type: e.Type,
				Subject: e.subject, EventAt: at, Since: at, Body: e.Body,
			}
			if e.ofTask {
				d.Task = e.Key
			}
			list = append(list, d)
			rows = append(rows, []any{a.shard, id, id, e.number, notifier, string(notify.Pending), 0, "", "", now})
		}
	}
	_, err := tx.execRows(ctx, `INSERT INTO deliveries (shard, id, position, event, notifier, state, attempts, last_error, log, created_at) VALUES %s`, rows)
	return list, err
}
