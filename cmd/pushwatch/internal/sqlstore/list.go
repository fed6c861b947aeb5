package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"pushwatch/watcher"
)

const (
	// defaultPage is the default limit of a page.
	defaultPage = 100

	// firstSearch is how many tasks are searched for a label first. They usually fill a
	// page if half of the tasks have the label.
	firstSearch = 250

	// secondSearch is how many tasks are searched for a label before all of them are.
	secondSearch = 2000
)

// Tasks implements [watcher.Registry]. Task ids are in the database's order of text.
//
// A search for a label has four steps, until one fills a page: the first firstSearch tasks;
// the label's index, if the label is rare; the first secondSearch tasks; all tasks, in table
// order. In index order the last step would take seven times as long on SQLite, because it
// would read rows from all over the table.
func (db *DB) Tasks(ctx context.Context, q watcher.TaskQuery) ([]watcher.Task, error) {
	limit := cmp.Or(q.Limit, defaultPage)
	if len(q.Labels) == 0 {
		w := whereTasks(q, "")
		return db.listTasks(ctx, `SELECT `+taskColumns+` FROM tasks`+w.String()+taskOrder(q, "")+` LIMIT ?`, append(w.args, limit))
	}
	if tasks, err := db.searchFirst(ctx, q, firstSearch, limit); err != nil || len(tasks) == limit {
		return tasks, err
	}
	if label, ok, err := db.rarest(ctx, q.Labels); err != nil {
		return nil, fmt.Errorf("read tasks: %w", err)
	} else if ok {
		return db.labelledTasks(ctx, q, label, limit)
	}
	if tasks, err := db.searchFirst(ctx, q, secondSearch, limit); err != nil || len(tasks) == limit {
		return tasks, err
	}
	// A plus sign keeps either database from using an index for a column.
	all := whereTasks(q, "+").labels(q)
	return db.listTasks(ctx, `SELECT `+taskColumns+` FROM tasks`+all.String()+taskOrder(q, "+")+` LIMIT ?`, append(all.args, limit))
}

// searchFirst searches the first n tasks of a query for its labels.
func (db *DB) searchFirst(ctx context.Context, q watcher.TaskQuery, n, limit int) ([]watcher.Task, error) {
	near, labels := whereTasks(q, ""), new(where).labels(q)
	return db.listTasks(ctx, `SELECT `+taskColumns+` FROM (SELECT `+taskColumns+` FROM tasks`+near.String()+taskOrder(q, "")+` LIMIT ?) AS near`+
		labels.String()+taskOrder(q, "")+` LIMIT ?`, slices.Concat(near.args, []any{n}, labels.args, []any{limit}))
}

func (db *DB) listTasks(ctx context.Context, query string, args []any) ([]watcher.Task, error) {
	tasks, err := list(ctx, db, decodeTask, query, args...)
	if err == nil {
		err = db.addPollTimes(ctx, tasks)
	}
	return tasks, wrap(err, "read tasks")
}

// taskOrder returns the ORDER BY clause of a query. Here and below, sign is put before each
// column that leads to an index: "+" keeps the index from being used.
func taskOrder(q watcher.TaskQuery, sign string) string {
	if q.Newest {
		return ` ORDER BY ` + sign + `registered_at DESC, sdk_app_id DESC, task_id DESC`
	}
	return ` ORDER BY ` + sign + `sdk_app_id, task_id`
}

// whereTasks returns the conditions of a query, except labels.
func whereTasks(q watcher.TaskQuery, sign string) *where {
	w := new(where)
	w.and(sign + `removed_at IS NULL`)
	w.after(q, sign)
	w.when(q.Account != "", `account = ?`, q.Account)
	oneOf(w, `state`, q.States)
	w.when(q.Blind, `REPLACE(memory, ?, '') <> memory`, `"blind":`) // a search in the JSON: there is no column for it
	w.when(q.SDKAppID != 0, sign+`sdk_app_id = ?`, q.SDKAppID)
	w.when(q.Contains != "", `REPLACE(task_id, ?, '') <> task_id`, q.Contains) // LIKE ignores case in SQLite, and "_" matches any letter
	return w
}

// after adds the condition that rows come after the mark of a query.
func (w *where) after(q watcher.TaskQuery, sign string) {
	switch after := q.After; {
	case !q.Newest:
		w.and(`(`+sign+`sdk_app_id, task_id) > (?, ?)`, after.SDKAppID, after.TaskID)
	case !after.RegisteredAt.IsZero():
		w.and(`(`+sign+`registered_at, sdk_app_id, task_id) < (?, ?, ?)`, after.RegisteredAt.UnixMicro(), after.SDKAppID, after.TaskID)
	}
}

// labels adds the conditions for the labels of a query.
func (w *where) labels(q watcher.TaskQuery) *where {
	for k, v := range q.Labels {
		w.and(`REPLACE(labels, ?, '') <> labels`, labelText(k, v))
	}
	return w
}
