package sqlstore

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// analyzeFrom is how many registrations the first ANALYZE follows. Each further one
	// follows twice as many, so that all of them cost little.
	analyzeFrom = 1000

	analyzeTimeout = 10 * time.Second
)

// A growth counts rows that are new since the planner's statistics were gathered.
type growth struct {
	rows, next atomic.Int64 // next is how many are too many; 0: analyzeFrom
}

// add counts rows, and reports whether the statistics are out of date.
func (g *growth) add(rows int) bool {
	next := max(g.next.Load(), analyzeFrom)
	return g.rows.Add(int64(rows)) >= next && g.next.CompareAndSwap(g.next.Load(), 2*next)
}

// analyze has PostgreSQL gather statistics after many registrations. Without them it takes
// nearly every task for removed, and sorts all tasks for a page of them. It does so by
// itself only a minute later, if autovacuum is on. A failure costs time alone.
func (db *DB) analyze(ctx context.Context, registered int) {
	if !db.postgres || !db.registered.add(registered) {
		return
	}
	db.registered.rows.Store(0)
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	if _, err := db.writer.ExecContext(ctx, `ANALYZE tasks, task_labels`); err != nil {
		db.health.log.Debug("statistics not gathered", zap.Error(err))
	}
}
