package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A kind is rows that [DB.Sweep] drops when they are old and of no more use.
type kind struct {
	table, at string    // at: since when a row ages
	key       [2]string // its primary key
	types     []string  // of the key
	index     string    // the condition of the index that leads to old rows r
	useless   string    // what must be so besides; each "?" is the age
}

// over is a task t that has ended, or was removed, long ago.
const over = `COALESCE(t.removed_at, t.ended_at) < ? AND (t.ended_at IS NOT NULL OR t.removed_at IS NOT NULL)`

// kinds are in the order in which one frees the next.
var kinds = [...]kind{
	{
		table: "deliveries", at: "r.settled_at", key: [2]string{"shard", "id"}, types: []string{"BIGINT", "BIGINT"},
		index:   `r.state = 'delivered'`,
		useless: `r.state NOT IN ('pending', 'dead')`,
	},
	{
		table: "events", at: "r.at", key: [2]string{"shard", "number"}, types: []string{"BIGINT", "BIGINT"},
		index: `true`,
		useless: `NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.shard = r.shard AND d.event = r.number)
			AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.sdk_app_id = r.sdk_app_id AND t.task_id = r.task_id AND NOT (` + over + `))
			AND (r.type NOT IN ('watcher.blind', 'watcher.sighted') OR EXISTS (SELECT 1 FROM events n
				WHERE n.shard = r.shard AND n.number > r.number AND n.sdk_app_id IS NULL AND n.subject = r.subject
					AND n.type IN ('watcher.blind', 'watcher.sighted')))`,
	},
	{
		table: "tasks", at: "COALESCE(r.removed_at, r.ended_at)", key: [2]string{"sdk_app_id", "task_id"}, types: []string{"BIGINT", "TEXT"},
		index:   `(r.ended_at IS NOT NULL OR r.removed_at IS NOT NULL)`,
		useless: `NOT EXISTS (SELECT 1 FROM events e WHERE e.sdk_app_id = r.sdk_app_id AND e.task_id = r.task_id)`,
	},
}

// An oldRow is the place of a row among those of its kind, by age. The zero value is
// before all.
type oldRow struct {
	at  int64
	key [2]any
}

// Sweep drops what is older than before and of no more use: deliveries that were
// delivered, then events that have no deliveries left and whose task is over, then
// tasks that are over and have no events left. A task is over when it has ended
// or was removed before then. Dead letters and their events stay.
//
// One call drops limit rows of each kind at most, in short transactions, and
// returns how many rows it dropped: call it until that is none. It looks for them
// outside of those, going on where the call before came to: what stays may be much
// more than what goes, and is not read again at each call, nor while others wait to
// write.
func (db *DB) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	db.sweeping.Lock()
	defer db.sweeping.Unlock()
	total := 0
	for i, k := range kinds {
		n, err := db.drop(ctx, k, &db.swept[i], before.UnixMicro(), limit)
		total += n
		if err != nil {
			return total, fmt.Errorf("drop old %s: %w", k.table, err)
		}
	}
	if !db.postgres && total > 0 {
		// It gives back as many pages as rows were dropped, which is about all of
		// them, and never holds up writers for long.
		if _, err := db.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, total)); err != nil {
			return total, fmt.Errorf("shrink the file: %w", err)
		}
	}
	return total, nil
}

// drop drops rows of one kind, the oldest of those that come after one, which it
// sets. Where there are none it begins again, once: what was passed over may be useless
// by now.
func (db *DB) drop(ctx context.Context, k kind, from *oldRow, before int64, limit int) (total int, err error) {
	found, err := db.useless(ctx, k, *from, before, limit)
	if err == nil && len(found) == 0 && *from != (oldRow{}) {
		*from = oldRow{}
		found, err = db.useless(ctx, k, *from, before, limit)
	}
	if err != nil || len(found) == 0 {
		return 0, err
	}
	err = db.write(ctx, func(tx transaction) error {
		for chunk := range slices.Chunk(found, rowsPerStatement) {
			var args []any
			for _, r := range chunk {
				args = append(args, r.key[:]...)
			}
			n, err := tx.exec(ctx, k.dropStatement(len(chunk)), append(args, k.ages(before)...)...)
			if err != nil {
				return err
			}
			total += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	*from = found[len(found)-1]
	return total, nil
}

// useless finds rows to drop, the oldest of those that come after one.
func (db *DB) useless(ctx context.Context, k kind, after oldRow, before int64, limit int) (found []oldRow, err error) {
	query := `SELECT ` + k.at + `, ` + k.columns() + ` FROM ` + k.table + ` r WHERE ` + k.index + ` AND ` + k.condition()
	args := k.ages(before)
	if after != (oldRow{}) {
		query += ` AND (` + k.at + `, ` + k.columns() + `) > (?, ?, ?)`
		args = append(args, after.at, after.key[0], after.key[1])
	}
	err = db.each(ctx, db.reader, func(scan scanner) error {
		var r oldRow
		err := scan(&r.at, &r.key[0], &r.key[1])
		found = append(found, r)
		return err
	}, query+` ORDER BY `+k.at+`, `+k.columns()+` LIMIT ?`, append(args, limit)...)
	return found, err
}

// dropStatement drops so many rows, each unless it has come to be of use since it
// was found. That is asked of the row itself: PostgreSQL waits for a row that another
// transaction has locked, and asks again only what it is asked of the row that it
// drops, not what a list of rows was made by. The index that led to it is not named, as
// in [saveStatement].
func (k kind) dropStatement(n int) string {
	return `WITH k (a, b) AS (VALUES ` + values(n, k.types...) + `)
		DELETE FROM ` + k.table + ` AS r WHERE (` + k.columns() + `) IN (SELECT a, b FROM k) AND ` + k.condition()
}

func (k kind) columns() string { return `r.` + k.key[0] + `, r.` + k.key[1] }

func (k kind) condition() string { return k.at + ` < ? AND ` + k.useless }

// ages are the parameters of the condition.
func (k kind) ages(before int64) []any {
	return slices.Repeat([]any{before}, strings.Count(k.condition(), "?"))
}
