package sqlstore

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// analyzeFrom is how many registrations the first ANALYZE follows. Each further one
	// follows twice as many, so that all of them cost little.
	analyzeFrom = 1000

	// analyzeTimeout bounds ANALYZE, which the last of these registrations waits for.
	analyzeTimeout = 2 * time.Second
)

// A growth counts rows that are new since the planner's statistics were gathered.
type growth struct {
	mu         sync.Mutex
	rows, next int // next is how many are too many; 0: analyzeFrom
}

// add counts rows, and reports whether the statistics are out of date.
func (g *growth) add(rows int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = max(g.next, analyzeFrom)
	if g.rows += rows; g.rows < g.next {
		return false
	}
	g.rows, g.next = 0, 2*g.next
	return true
}

// analyze gathers PostgreSQL's statistics after many registrations. Without them the planner
// assumes that nearly every task is removed, and sorts all tasks for a page of them. Autovacuum
// gathers them only a minute later, if it is on. A failure makes lists slower, no more.
func (db *DB) analyze(ctx context.Context, registered int) {
	if !db.postgres || !db.registered.add(registered) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	if _, err := db.writer.ExecContext(ctx, `ANALYZE tasks, task_labels`); err != nil {
		db.health.log.Debug("statistics not gathered", zap.Error(err))
	}
}
