package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"hash/fnv"
	"slices"

	"github.com/pressly/goose/v3"

	"pushwatch/watcher"
)

// labelText returns a label as it is written in the JSON of a task's labels. Quotes within
// values are escaped, so this text cannot occur elsewhere.
func labelText(key, value string) string { return encodeJSON(key) + ":" + encodeJSON(value) }

// labelHash returns the key of a label in task_labels. Two labels may share it, so queries
// also compare the label itself.
func labelHash(key, value string) int64 {
	h := fnv.New64a()
	h.Write([]byte(labelText(key, value)))
	return int64(h.Sum64())
}

// A labelRow is a row of task_labels: a task has a label.
type labelRow struct {
	label int64
	watcher.TaskMark
}

// labelRows returns the rows of task_labels for tasks, in the order of the primary key.
func labelRows(tasks ...watcher.Task) (rows []labelRow) {
	for _, t := range tasks {
		for k, v := range t.Labels {
			rows = append(rows, labelRow{labelHash(k, v), watcher.TaskMark{Key: t.Key, RegisteredAt: t.RegisteredAt}})
		}
	}
	slices.SortFunc(rows, func(a, b labelRow) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.SDKAppID, b.SDKAppID), cmp.Compare(a.TaskID, b.TaskID))
	})
	return slices.Compact(rows)
}

// insertLabels writes the labels of tasks.
func (tx transaction) insertLabels(ctx context.Context, tasks ...watcher.Task) error {
	rows := rowsOf(labelRows(tasks...), func(r labelRow) []any { return []any{r.label, r.SDKAppID, r.TaskID, r.RegisteredAt.UnixMicro()} })
	_, err := tx.execRows(ctx, `INSERT INTO task_labels (label, sdk_app_id, task_id, registered_at) VALUES %s
		ON CONFLICT (label, sdk_app_id, task_id) DO UPDATE SET registered_at = excluded.registered_at`, rows)
	return err
}

// dropLabels deletes the labels of tasks for which a condition holds.
func (tx transaction) dropLabels(ctx context.Context, condition string, tasks []watcher.Task) error {
	rows := rowsOf(labelRows(tasks...), func(r labelRow) []any { return []any{r.label, r.SDKAppID, r.TaskID} })
	_, err := tx.execRows(ctx, dropLabelsStatement+condition, rows)
	return err
}

const dropLabelsStatement = `WITH k (a, b, c) AS (VALUES %s)
	DELETE FROM task_labels WHERE (label, sdk_app_id, task_id) IN (SELECT a, b, c FROM k)`

// noSuchTask is the condition that the task of a label no longer exists.
const noSuchTask = ` AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.sdk_app_id = task_labels.sdk_app_id AND t.task_id = task_labels.task_id)`

const (
	// labelMost is the number of tasks above which a label is common. Then the tasks are
	// read in their order, which soon yields a page with the label.
	labelMost = 5000

	// labelKeys is how many tasks with a label are read at a time.
	labelKeys = rowsPerStatement
)

// rarest returns the label of a query that the fewest tasks have; ok is false if all are
// common.
func (db *DB) rarest(ctx context.Context, labels map[string]string) (label int64, ok bool, err error) {
	fewest := labelMost
	for k, v := range labels {
		n, err := one(ctx, db, column[int],
			`SELECT COUNT(*) FROM (SELECT 1 FROM task_labels WHERE label = ? ORDER BY sdk_app_id, task_id LIMIT ?) AS counted`, labelHash(k, v), fewest)
		if err != nil {
			return 0, false, err
		}
		if n < fewest {
			label, ok, fewest = labelHash(k, v), true, n
		}
	}
	return label, ok, nil
}

// labelledTasks reads a page of a query through the index of a label.
func (db *DB) labelledTasks(ctx context.Context, q watcher.TaskQuery, label int64, limit int) (tasks []watcher.Task, err error) {
	conditions := whereTasks(q, "+").labels(q) // of the indexes of tasks, only the primary key is used
	for {
		marks, err := db.labelMarks(ctx, q, label)
		if err != nil {
			return nil, err
		}
		if len(marks) > 0 {
			var args []any
			for _, m := range marks {
				args = append(args, m.SDKAppID, m.TaskID)
			}
			args = slices.Concat(args, conditions.args, []any{limit - len(tasks)})
			found, err := db.listTasks(ctx, `WITH k (app, id) AS (VALUES `+values(len(marks), "BIGINT", "TEXT")+`)
				SELECT `+taskColumns+` FROM k CROSS JOIN tasks`+conditions.String()+`
				AND sdk_app_id = app AND task_id = id`+taskOrder(q, "+")+` LIMIT ?`, args)
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, found...)
		}
		if len(tasks) >= limit || len(marks) < labelKeys {
			return tasks, nil
		}
		q.After = marks[len(marks)-1]
	}
}

// labelMarks reads the next tasks of a query that have a label, in its order.
func (db *DB) labelMarks(ctx context.Context, q watcher.TaskQuery, label int64) ([]watcher.TaskMark, error) {
	var w where
	w.and(`label = ?`, label)
	w.after(q, "")
	return list(ctx, db, func(scan scanner) (m watcher.TaskMark, err error) {
		err = scan(&m.SDKAppID, &m.TaskID, (*moment)(&m.RegisteredAt))
		return m, err
	}, `SELECT sdk_app_id, task_id, registered_at FROM task_labels`+w.String()+taskOrder(q, "")+` LIMIT ?`, append(w.args, labelKeys)...)
}

// labelsOf reads the labels of tasks, including removed ones.
func (tx transaction) labelsOf(ctx context.Context, keys []watcher.Key) (tasks []watcher.Task, err error) {
	err = eachOfRows(ctx, tx, func(scan scanner) error {
		var t watcher.Task
		err := scan(&t.SDKAppID, &t.TaskID, jsonText{&t.Labels})
		tasks = append(tasks, t)
		return err
	}, `WITH k (app, id) AS (VALUES %s)
		SELECT sdk_app_id, task_id, labels FROM k CROSS JOIN tasks WHERE sdk_app_id = app AND task_id = id`, rowsOf(keys, keyRow))
	return tasks, err
}

// labelMigration creates task_labels and fills it from the existing tasks.
func (db *DB) labelMigration() *goose.Migration {
	up := func(ctx context.Context, sqlTx *sql.Tx) error {
		tx := transaction{sqlTx, db}
		create := `CREATE TABLE task_labels (
			label         BIGINT NOT NULL, -- a hash of its key and value
			sdk_app_id    BIGINT NOT NULL,
			task_id       TEXT   NOT NULL,
			registered_at BIGINT NOT NULL, -- of the task
			PRIMARY KEY (label, sdk_app_id, task_id)
		)`
		if !db.postgres {
			create += ` WITHOUT ROWID` // the table is its index
		}
		if _, err := sqlTx.ExecContext(ctx, create); err != nil {
			return err
		}
		var last watcher.Key
		for {
			tasks, err := list(ctx, tx, func(scan scanner) (t watcher.Task, err error) {
				err = scan(&t.SDKAppID, &t.TaskID, (*moment)(&t.RegisteredAt), jsonText{&t.Labels})
				return t, err
			}, `SELECT sdk_app_id, task_id, registered_at, labels FROM tasks WHERE (sdk_app_id, task_id) > (?, ?)
				ORDER BY sdk_app_id, task_id LIMIT ?`, last.SDKAppID, last.TaskID, copyRows)
			if err != nil || len(tasks) == 0 {
				return err
			}
			if err := tx.insertLabels(ctx, tasks...); err != nil {
				return err
			}
			last = tasks[len(tasks)-1].Key
		}
	}
	down := func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DROP TABLE task_labels`)
		return err
	}
	return goose.NewGoMigration(9, &goose.GoFunc{RunTx: up}, &goose.GoFunc{RunTx: down})
}
