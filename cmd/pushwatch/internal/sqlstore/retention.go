package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A sweepTable is a table whose rows [DB.Sweep] deletes when they are old and unneeded.
type sweepTable struct {
	name, at string    // at: the time from which a row's age counts
	key      [2]string // its primary key
	types    []string  // of the key
	index    string    // the condition of the index that leads to old rows r
	unneeded string    // the condition that nothing needs a row r; each "?" is the age limit
}

// sweepStep is how many rows one transaction deletes, and how many pages one statement
// frees. Each delays other writers by a few milliseconds.
const sweepStep = 128

// taskOver is the condition that a task t ended, or was removed, before the age limit.
const taskOver = `COALESCE(t.removed_at, t.ended_at) < ? AND (t.ended_at IS NOT NULL OR t.removed_at IS NOT NULL)`

// sweepTables are ordered so that deleting rows of one makes rows of the next unneeded.
var sweepTables = [...]sweepTable{
	{
		name: "deliveries", at: "r.settled_at", key: [2]string{"shard", "id"}, types: []string{"BIGINT", "BIGINT"},
		index:    `r.state = 'delivered'`,
		unneeded: `r.state NOT IN ('pending', 'dead')`,
	},
	{
		name: "events", at: "r.at", key: [2]string{"shard", "number"}, types: []string{"BIGINT", "BIGINT"},
		index: `true`,
		unneeded: `NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.shard = r.shard AND d.event = r.number)
			AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.sdk_app_id = r.sdk_app_id AND t.task_id = r.task_id AND NOT (` + taskOver + `))
			AND (r.type NOT IN ('watcher.blind', 'watcher.sighted') OR EXISTS (SELECT 1 FROM events n
				WHERE n.shard = r.shard AND n.number > r.number AND n.sdk_app_id IS NULL AND n.subject = r.subject
					AND n.type IN ('watcher.blind', 'watcher.sighted')))`,
	},
	{
		name: "tasks", at: "COALESCE(r.removed_at, r.ended_at)", key: [2]string{"sdk_app_id", "task_id"}, types: []string{"BIGINT", "TEXT"},
		index:    `(r.ended_at IS NOT NULL OR r.removed_at IS NOT NULL)`,
		unneeded: `NOT EXISTS (SELECT 1 FROM events e WHERE e.sdk_app_id = r.sdk_app_id AND e.task_id = r.task_id)`,
	},
}

// An oldRow is a row's position in its table, ordered by age. The zero value comes before
// all rows.
type oldRow struct {
	at  int64
	key [2]any
}

// Sweep deletes rows that are older than before and unneeded: delivered deliveries, then
// events that have no deliveries left and whose task is over, then tasks that are over and
// have no events left. A task is over if it ended or was removed before then. Dead letters
// and their events are kept.
//
// One call deletes at most limit rows of each table, in short transactions, and returns
// their number: call it until that is zero. It searches outside of those transactions, and
// starts where the last call ended: so the rows that are kept, which may be many, are not
// read at every call, nor while others wait to write.
func (db *DB) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	db.sweeping.Lock()
	defer db.sweeping.Unlock()
	total := 0
	for i, t := range sweepTables {
		n, err := db.drop(ctx, t, &db.swept[i], before.UnixMicro(), limit)
		total += n
		if err != nil {
			return total, fmt.Errorf("drop old %s: %w", t.name, err)
		}
	}
	if !db.postgres && total > 0 {
		// Free as many pages as rows were deleted, which is about all that are empty.
		for left := total; left > 0; left -= sweepStep {
			if _, err := db.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, min(left, sweepStep))); err != nil {
				return total, fmt.Errorf("shrink the file: %w", err)
			}
		}
	}
	return total, nil
}

// drop deletes the oldest rows of a table after *from, and advances *from. If there are
// none it starts over once: rows that were kept before may be unneeded now.
func (db *DB) drop(ctx context.Context, t sweepTable, from *oldRow, before int64, limit int) (total int, err error) {
	found, err := db.findOld(ctx, t, *from, before, limit)
	if err == nil && len(found) == 0 && *from != (oldRow{}) {
		*from = oldRow{}
		found, err = db.findOld(ctx, t, *from, before, limit)
	}
	if err != nil || len(found) == 0 {
		return 0, err
	}
	for chunk := range slices.Chunk(found, sweepStep) {
		err := db.write(ctx, func(tx transaction) error {
			n, err := tx.drop(ctx, t, chunk, before)
			total += int(n)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	*from = found[len(found)-1]
	return total, nil
}

// drop deletes rows that were found, and the labels of tasks.
func (tx transaction) drop(ctx context.Context, t sweepTable, found []oldRow, before int64) (int64, error) {
	var args []any
	for _, r := range found {
		args = append(args, r.key[:]...)
	}
	var labelled []watcher.Task
	if t.name == "tasks" {
		keys := make([]watcher.Key, len(found))
		for i, r := range found {
			keys[i] = watcher.Key{SDKAppID: r.key[0].(int64), TaskID: r.key[1].(string)}
		}
		var err error
		if labelled, err = tx.labelsOf(ctx, keys); err != nil {
			return 0, err
		}
	}
	n, err := tx.exec(ctx, t.dropStatement(len(found)), append(args, t.ages(before)...)...)
	if err != nil {
		return 0, err
	}
	return n, tx.dropLabels(ctx, noSuchTask, labelled)
}

// findOld finds rows to delete, the oldest ones after a row.
func (db *DB) findOld(ctx context.Context, t sweepTable, after oldRow, before int64, limit int) (found []oldRow, err error) {
	query := `SELECT ` + t.at + `, ` + t.columns() + ` FROM ` + t.name + ` r WHERE ` + t.index + ` AND ` + t.condition()
	args := t.ages(before)
	if after != (oldRow{}) {
		query += ` AND (` + t.at + `, ` + t.columns() + `) > (?, ?, ?)`
		args = append(args, after.at, after.key[0], after.key[1])
	}
	err = db.each(ctx, func(scan scanner) error {
		var r oldRow
		err := scan(&r.at, &r.key[0], &r.key[1])
		found = append(found, r)
		return err
	}, query+` ORDER BY `+t.at+`, `+t.columns()+` LIMIT ?`, append(args, limit)...)
	return found, err
}

// dropStatement deletes n rows, except those that are needed again since they were found.
// The condition is on the row itself: PostgreSQL waits for a row that another transaction
// has locked, and then checks again only the conditions on the row that it deletes, not
// those that produced a list of rows. It leaves out the condition of the index, as
// [saveStatement] does.
func (t sweepTable) dropStatement(n int) string {
	return `WITH k (a, b) AS (VALUES ` + values(n, t.types...) + `)
		DELETE FROM ` + t.name + ` AS r WHERE (` + t.columns() + `) IN (SELECT a, b FROM k) AND ` + t.condition()
}

func (t sweepTable) columns() string { return `r.` + t.key[0] + `, r.` + t.key[1] }

func (t sweepTable) condition() string { return t.at + ` < ? AND ` + t.unneeded }

// ages returns the parameters of the condition.
func (t sweepTable) ages(before int64) []any {
	return slices.Repeat([]any{before}, strings.Count(t.condition(), "?"))
}
