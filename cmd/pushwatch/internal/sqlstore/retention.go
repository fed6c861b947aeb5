package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A sweepTable is a table whose rows [DB.Sweep] drops when they are old and not needed.
type sweepTable struct {
	name, at string    // at: since when a row ages
	key      [2]string // its primary key
	types    []string  // of the key
	index    string    // the condition of the index that leads to old rows r
	unneeded string    // the condition of rows r that nothing needs; each "?" is the age
}

// sweepStep is how many rows one transaction drops, and how many pages one statement
// gives back: each keeps other writers waiting for a few milliseconds.
const sweepStep = 128

// taskOver is the condition of a task t that ended, or was removed, long ago.
const taskOver = `COALESCE(t.removed_at, t.ended_at) < ? AND (t.ended_at IS NOT NULL OR t.removed_at IS NOT NULL)`

// sweepTables are in the order in which dropping rows of one frees rows of the next.
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

// An oldRow is the place of a row among those of its table, by age. The zero value is
// before all.
type oldRow struct {
	at  int64
	key [2]any
}

// Sweep drops what is older than before and not needed: deliveries that were
// delivered, then events that have no deliveries left and whose task is over, then
// tasks that are over and have no events left. A task is over when it has ended
// or was removed before then. Dead letters and their events stay.
//
// One call drops limit rows of each table at most, in short transactions, and returns
// how many rows it dropped: call it until that is none. It looks for them outside of
// those transactions, and begins where the last call ended: many more rows may stay
// than go, and they are not read again at each call, nor while others wait to write.
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
		// It gives back as many pages as rows were dropped, which is about all of them.
		for left := total; left > 0; left -= sweepStep {
			if _, err := db.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, min(left, sweepStep))); err != nil {
				return total, fmt.Errorf("shrink the file: %w", err)
			}
		}
	}
	return total, nil
}

// drop drops rows of one table, the oldest of those that come after one, which it
// sets. Where there are none it begins again, once: rows that were passed over may not
// be needed any more.
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

// drop drops rows that were found, and the labels of tasks.
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

// findOld finds rows to drop, the oldest of those that come after one.
func (db *DB) findOld(ctx context.Context, t sweepTable, after oldRow, before int64, limit int) (found []oldRow, err error) {
	query := `SELECT ` + t.at + `, ` + t.columns() + ` FROM ` + t.name + ` r WHERE ` + t.index + ` AND ` + t.condition()
	args := t.ages(before)
	if after != (oldRow{}) {
		query += ` AND (` + t.at + `, ` + t.columns() + `) > (?, ?, ?)`
		args = append(args, after.at, after.key[0], after.key[1])
	}
	err = db.each(ctx, db.reader, func(scan scanner) error {
		var r oldRow
		err := scan(&r.at, &r.key[0], &r.key[1])
		found = append(found, r)
		return err
	}, query+` ORDER BY `+t.at+`, `+t.columns()+` LIMIT ?`, append(args, limit)...)
	return found, err
}

// dropStatement drops n rows, each unless something has come to need it since it was
// found. The condition is on the row itself: PostgreSQL waits for a row that another
// transaction has locked, and checks again only the conditions on the row that it
// drops, not those that a list of rows was made by. The index that led to it is not named, as
// in [saveStatement].
func (t sweepTable) dropStatement(n int) string {
	return `WITH k (a, b) AS (VALUES ` + values(n, t.types...) + `)
		DELETE FROM ` + t.name + ` AS r WHERE (` + t.columns() + `) IN (SELECT a, b FROM k) AND ` + t.condition()
}

func (t sweepTable) columns() string { return `r.` + t.key[0] + `, r.` + t.key[1] }

func (t sweepTable) condition() string { return t.at + ` < ? AND ` + t.unneeded }

// ages are the parameters of the condition.
func (t sweepTable) ages(before int64) []any {
	return slices.Repeat([]any{before}, strings.Count(t.condition(), "?"))
}
