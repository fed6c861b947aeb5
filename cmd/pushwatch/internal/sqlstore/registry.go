package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

var _ watcher.Registry = (*DB)(nil)

// errUnlocked means that a task belongs to an account whose row is not locked.
var errUnlocked = errors.New("the task is in another account")

// Register implements [watcher.Registry]. It uses the key, account, labels, expected stop
// and registration time of each task; the other fields get their initial values.
//
// All tasks are written in one transaction, [rowsPerStatement] at a time, which bounds the
// memory for a large batch.
func (db *DB) Register(ctx context.Context, tasks []watcher.Task, reopen bool) ([]watcher.RegisteredTask, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	names := make(map[string]bool) // of the accounts to lock
	for _, t := range tasks {
		names[t.Account] = true
	}
	order := inKeyOrder(tasks)
	all := make([]watcher.RegisteredTask, len(tasks))
	register := func(tx transaction) error {
		accounts, err := tx.lockAccounts(ctx, names)
		if err != nil {
			return err
		}
		read := make(checkpoints)
		for chunk := range slices.Chunk(order, rowsPerStatement) {
			asked := make([]watcher.Task, len(chunk))
			for i, at := range chunk {
				asked[i] = tasks[at]
			}
			c, err := tx.registerSome(ctx, asked, reopen, accounts, read)
			if err != nil {
				return err
			}
			for i, at := range chunk {
				all[at] = watcher.RegisteredTask{Task: c.now[asked[i].Key], Created: c.created[i]}
			}
			for _, t := range c.elsewhere {
				names[t.Account] = true
			}
		}
		if len(names) > len(accounts) {
			return errUnlocked
		}
		return nil
	}
	err := db.write(ctx, register)
	for errors.Is(err, errUnlocked) && ctx.Err() == nil { // normally one retry
		err = db.write(ctx, register)
	}
	if err != nil {
		return nil, fmt.Errorf("register tasks: %w", err)
	}
	db.notifyReplicas()
	db.analyze(ctx, len(tasks))
	return all, nil
}

// inKeyOrder returns the indices of tasks in the order of their keys. All transactions write
// tasks in that order, so that they cannot deadlock.
func inKeyOrder(tasks []watcher.Task) []int {
	order := make([]int, len(tasks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(tasks[a].SDKAppID, tasks[b].SDKAppID), strings.Compare(tasks[a].TaskID, tasks[b].TaskID))
	})
	return order
}

// registerSome registers some of the tasks of a [DB.Register], in the order of their
// keys. The rows of accounts are locked.
func (tx transaction) registerSome(ctx context.Context, asked []watcher.Task, reopen bool, accounts map[string]accountRow, read checkpoints) (registration, error) {
	keys := rowsOf(asked, func(t watcher.Task) []any { return keyRow(t.Key) })
	found, hidden, err := tx.db.readTasks(ctx, pool{tx.db, tx.sql}, keys) // not prepared: it has a text for each length
	if err != nil {
		return registration{}, err
	}
	for _, t := range asked { // the checkpoint of a task's new account does not have its times
		if old, ok := found[t.Key]; ok && old.Account != t.Account {
			if err := read.apply(ctx, tx.db, tx, &old); err != nil {
				return registration{}, err
			}
			found[t.Key] = old
		}
	}
	c := planRegistration(asked, reopen, found, hidden, accounts)
	if len(c.elsewhere) > 0 {
		return c, nil // the transaction is repeated
	}
	if err := tx.moveTasks(ctx, c.moved); err != nil {
		return c, err
	}
	if err := tx.insertTasks(ctx, c.fresh); err != nil {
		return c, err
	}
	if err := tx.dropLabels(ctx, "", c.before); err != nil {
		return c, err
	}
	if err := tx.insertLabels(ctx, c.fresh...); err != nil {
		return c, err
	}
	return c, tx.noteAll(ctx, accounts, c.notes)
}

// A registration is what [DB.Register] does with some tasks.
type registration struct {
	now       map[watcher.Key]watcher.Task // the resulting tasks
	created   []bool                       // for each requested task: whether watching it starts
	fresh     []watcher.Task               // to insert
	before    []watcher.Task               // what fresh ones replace
	moved     []watcher.Task               // to move to another account
	elsewhere []watcher.Task               // live in accounts whose rows are not locked
	notes     map[string][]watcher.Key     // for the owners, by account
}

// planRegistration decides what to do with the requested tasks. found are those that exist,
// hidden those of them that are removed. The rows of accounts are locked.
func planRegistration(asked []watcher.Task, reopen bool, found map[watcher.Key]watcher.Task, hidden map[watcher.Key]bool, accounts map[string]accountRow) registration {
	c := registration{now: found, created: make([]bool, len(asked)), notes: make(map[string][]watcher.Key)}
	for i, t := range asked {
		old, exists := c.now[t.Key]
		_, locked := accounts[old.Account]
		visible := exists && !hidden[t.Key]
		live := visible && !old.State.Ended()
		switch {
		case live && old.Account != t.Account && !locked:
			c.elsewhere = append(c.elsewhere, old)
		case live && old.Account != t.Account:
			c.created[i] = true
			c.notes[old.Account] = append(c.notes[old.Account], t.Key) // its owner drops it
			c.notes[t.Account] = append(c.notes[t.Account], t.Key)
			old.Account = t.Account
			old.Version++
			c.now[t.Key] = old
			c.moved = append(c.moved, old)
		case live, visible && !reopen: // unchanged
		default:
			c.created[i] = true
			if exists {
				c.before = append(c.before, old)
			}
			c.now[t.Key] = newWatching(t, old)
			delete(hidden, t.Key) // a second request for it in the same batch changes nothing
			c.fresh = append(c.fresh, c.now[t.Key])
			c.notes[t.Account] = append(c.notes[t.Account], t.Key)
		}
	}
	return c
}

// newWatching returns a newly registered task, with the version and sequence that follow
// old's.
func newWatching(asked, old watcher.Task) watcher.Task {
	return watcher.Task{
		Key: asked.Key, Account: asked.Account, State: watcher.Registered, Labels: asked.Labels,
		ExpectedStopAt: rounded(asked.ExpectedStopAt), RegisteredAt: rounded(asked.RegisteredAt),
		Version: old.Version + 1, Sequence: old.Sequence,
	}
}

// lockAccounts locks the rows of accounts, so that nothing else changes their tasks. Their
// order is always the same, so that transactions cannot deadlock.
func (tx transaction) lockAccounts(ctx context.Context, names map[string]bool) (map[string]accountRow, error) {
	rows := make(map[string]accountRow)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row, err := tx.lockAccount(ctx, name, 0)
		if err != nil {
			return nil, err
		}
		rows[name] = row
	}
	return rows, nil
}

// readTasks reads those of the tasks with some keys that exist; hidden are those of them that are removed.
func (db *DB) readTasks(ctx context.Context, from source, keys [][]any) (found map[watcher.Key]watcher.Task, hidden map[watcher.Key]bool, err error) {
	found, hidden = make(map[watcher.Key]watcher.Task), make(map[watcher.Key]bool)
	// With CROSS JOIN SQLite looks up one key after the other; with IN (VALUES …) it would
	// read the whole table.
	err = eachOfRows(ctx, from, func(scan scanner) error {
		var removed bool
		t, err := decodeTask(scan.and(&removed))
		found[t.Key] = t
		if removed {
			hidden[t.Key] = true
		}
		return err
	}, `WITH k (app, id) AS (VALUES %s)
		SELECT `+taskColumns+`, removed_at IS NOT NULL FROM k CROSS JOIN tasks WHERE sdk_app_id = app AND task_id = id`, keys)
	return found, hidden, err
}

// insertTasks writes newly registered tasks, in the order of their keys.
func (tx transaction) insertTasks(ctx context.Context, tasks []watcher.Task) error {
	rows := rowsOf(tasks, func(t watcher.Task) []any { return encodeTask(&t) })
	n, err := tx.execRows(ctx, `INSERT INTO tasks (`+taskColumns+`) VALUES %s
		ON CONFLICT (sdk_app_id, task_id) DO UPDATE SET account = excluded.account, state = excluded.state,
			labels = excluded.labels, expected_stop_at = excluded.expected_stop_at,
			registered_at = excluded.registered_at, ended_at = NULL, version = excluded.version,
			push = NULL, error = NULL, last_observed_at = NULL, last_polled_at = NULL,
			memory = excluded.memory, removed_at = NULL
		WHERE tasks.version = excluded.version - 1`, rows)
	if err == nil && n < len(tasks) { // one was removed, or moved to another account, since it was read
		err = watcher.ErrConflict
	}
	return err
}

// Task implements [watcher.Registry].
func (db *DB) Task(ctx context.Context, key watcher.Key) (watcher.Task, error) {
	t, err := db.readTask(ctx, key)
	if err != nil {
		return t, err
	}
	tasks := []watcher.Task{t}
	err = db.addPollTimes(ctx, tasks)
	return tasks[0], wrap(err, "read task %s", key)
}

// Remove implements [watcher.Registry].
func (db *DB) Remove(ctx context.Context, key watcher.Key) error {
	err := errUnlocked
	for errors.Is(err, errUnlocked) && ctx.Err() == nil {
		var t watcher.Task
		if t, err = db.readTask(ctx, key); err == nil {
			err = db.writeForOthers(ctx, func(tx transaction) error { return tx.remove(ctx, key, t.Account) })
		}
	}
	return wrap(err, "remove task %s", key)
}

// remove removes a task from an account; [errUnlocked] if the task has left the account.
func (tx transaction) remove(ctx context.Context, key watcher.Key, account string) error {
	row, err := tx.lockAccount(ctx, account, 0) // before the task's row, as in all transactions
	if err != nil {
		return err
	}
	err = tx.execOne(ctx, errUnlocked, `UPDATE tasks SET removed_at = ?, version = version + 1
		WHERE sdk_app_id = ? AND task_id = ? AND account = ? AND removed_at IS NULL`, time.Now().UnixMicro(), key.SDKAppID, key.TaskID, account)
	if err != nil {
		return err
	}
	return tx.note(ctx, row, false, key)
}
