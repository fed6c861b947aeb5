package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pushwatch/watcher"
)

// rehomeRows is how many tasks one transaction moves to another account, so that the
// account's writer gets its turn in between.
const rehomeRows = 500

// Rehome implements [watcher.Registry].
func (db *DB) Rehome(ctx context.Context, accounts map[string][]int64) (string, []watcher.Task, error) {
	homes := make(map[int64]string)
	for name, apps := range accounts {
		for _, app := range apps {
			homes[app] = name
		}
	}
	if len(homes) == 0 {
		return "", nil, nil
	}
	orphans, err := db.unnamed(ctx, slices.Collect(maps.Keys(accounts)), `EXISTS (SELECT 1 FROM tasks t WHERE t.account = a.name AND t.ended_at IS NULL AND t.removed_at IS NULL)`)
	if err != nil {
		return "", nil, fmt.Errorf("find removed accounts with tasks: %w", err)
	}
	for _, orphan := range orphans {
		tasks, err := db.rehomeFrom(ctx, orphan, homes)
		if err != nil {
			return "", nil, fmt.Errorf("move tasks of removed account %s: %w", orphan, err)
		}
		if len(tasks) > 0 {
			db.notifyReplicas()
			return orphan, tasks, nil
		}
	}
	return "", nil, nil
}

// Unsent returns the accounts with pending deliveries that are in no process's settings.
// accounts are those in this process's settings.
func (db *DB) Unsent(ctx context.Context, accounts []string) ([]string, error) {
	left, err := db.unnamed(ctx, accounts, `EXISTS (SELECT 1 FROM deliveries d WHERE d.shard = a.shard AND d.state = 'pending')`)
	return left, wrap(err, "find removed accounts with deliveries")
}

// unnamed returns the accounts for which a condition holds and that are neither in named
// nor in the settings of another live process.
func (db *DB) unnamed(ctx context.Context, named []string, condition string) ([]string, error) {
	if db.postgres {
		others, err := list(ctx, db, func(scan scanner) (names []string, err error) {
			err = scan(jsonText{&names})
			return names, err
		}, `SELECT accounts FROM members WHERE beat_at > `+clockNow+` - CAST(? AS BIGINT)`, db.ttl.Microseconds())
		if err != nil {
			return nil, err
		}
		named = slices.Concat(append(others, named)...)
	}
	names, err := list(ctx, db, column[string], `SELECT a.name FROM accounts a WHERE `+condition+` ORDER BY a.name`)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(named, name) }), err
}

// rehomeFrom moves some live tasks of an account to the accounts of their applications.
func (db *DB) rehomeFrom(ctx context.Context, orphan string, homes map[int64]string) ([]watcher.Task, error) {
	query := `SELECT ` + taskColumns + ` FROM tasks WHERE account = ? AND ended_at IS NULL AND removed_at IS NULL
		AND sdk_app_id IN (?` + strings.Repeat(", ?", len(homes)-1) + `) LIMIT ?`
	args := []any{orphan}
	for app := range homes {
		args = append(args, app)
	}
	var tasks []watcher.Task
	err := db.write(ctx, func(tx transaction) error {
		names := map[string]bool{orphan: true}
		for _, home := range homes {
			names[home] = true
		}
		accounts, err := tx.lockAccounts(ctx, names)
		if err != nil {
			return err
		}
		notes := make(map[string][]watcher.Key) // by account
		times, err := db.pollTimes(ctx, tx, orphan)
		if err != nil {
			return err
		}
		err = tx.each(ctx, func(scan scanner) error {
			t, err := decodeTask(scan)
			times.Apply(&t)
			t.Account = homes[t.SDKAppID]
			t.Version++
			tasks, notes[t.Account] = append(tasks, t), append(notes[t.Account], t.Key)
			return err
		}, query, append(args, rehomeRows)...)
		if err != nil {
			return err
		}
		if err := tx.moveTasks(ctx, tasks); err != nil {
			return err
		}
		return tx.noteAll(ctx, accounts, notes)
	})
	return tasks, err
}

// moveTasks writes the new accounts of tasks, whose versions are already raised, and their
// last poll times, which the checkpoint of the new account does not have yet. The rows of
// all their accounts must be locked.
func (tx transaction) moveTasks(ctx context.Context, tasks []watcher.Task) error {
	rows := rowsOf(tasks, func(t watcher.Task) []any {
		return []any{t.SDKAppID, t.TaskID, t.Account, t.Version, moment(t.LastObservedAt), moment(t.LastPolledAt)}
	})
	n, err := tx.execRows(ctx, `WITH h (sdk_app_id, task_id, account, version, last_observed_at, last_polled_at) AS (VALUES %s)
		UPDATE tasks SET account = h.account, version = h.version, last_observed_at = h.last_observed_at, last_polled_at = h.last_polled_at
		FROM h WHERE tasks.sdk_app_id = h.sdk_app_id AND tasks.task_id = h.task_id AND tasks.version = h.version - 1`, rows)
	if err == nil && n < len(tasks) {
		err = watcher.ErrConflict
	}
	return err
}
