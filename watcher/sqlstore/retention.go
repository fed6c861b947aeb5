package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// Sweep drops what is older than before and of no more use: deliveries that were
// delivered, then events that have no deliveries left and whose task is over, then
// tasks that are over and have no events left. A task is over when it has ended
// or was removed before then. Dead letters and their events stay.
//
// One call drops about limit rows of each kind at most, in short transactions,
// and returns how many rows it dropped: call it until that is none.
func (db *DB) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	const over = `COALESCE(t.removed_at, t.ended_at) < ? AND (t.ended_at IS NOT NULL OR t.removed_at IS NOT NULL)`
	total := 0
	for _, step := range []struct{ what, statement string }{
		{"deliveries", `DELETE FROM deliveries WHERE (shard, id) IN (
			SELECT shard, id FROM deliveries WHERE state = 'delivered' AND settled_at < ? ORDER BY settled_at LIMIT ?)`},
		{"events", `DELETE FROM events WHERE (shard, number) IN (
			SELECT e.shard, e.number FROM events e WHERE e.at < ?
				AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.shard = e.shard AND d.event = e.number)
				AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.sdk_app_id = e.sdk_app_id AND t.task_id = e.task_id AND NOT (` + over + `))
				AND (e.type NOT IN ('watcher.blind', 'watcher.sighted') OR EXISTS (SELECT 1 FROM events n
					WHERE n.shard = e.shard AND n.number > e.number AND n.sdk_app_id IS NULL AND n.subject = e.subject))
			ORDER BY e.at LIMIT ?)`},
		{"tasks", `DELETE FROM tasks WHERE (sdk_app_id, task_id) IN (
			SELECT t.sdk_app_id, t.task_id FROM tasks t WHERE ` + over + `
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.sdk_app_id = t.sdk_app_id AND e.task_id = t.task_id)
			LIMIT ?)`},
	} {
		args := []any{before.UnixMicro(), limit}
		if step.what == "events" {
			args = []any{before.UnixMicro(), before.UnixMicro(), limit}
		}
		err := db.write(ctx, func(tx transaction) error {
			n, err := tx.exec(ctx, step.statement, args...)
			total += int(n)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("drop old %s: %w", step.what, err)
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
