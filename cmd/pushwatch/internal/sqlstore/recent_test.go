package sqlstore

import (
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

// TestRecentPlan checks that the newest events are read in their order, which SQLite
// would easily make by reading and sorting all of them.
func TestRecentPlan(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	before := watcher.EventMark{At: time.Now(), Shard: 1, Number: 1}
	some := []watcher.EventType{watcher.PushFailed, watcher.PushStopped}
	for _, q := range []watcher.RecentQuery{{}, {Before: before}, {Types: some[:1]}, {Types: some}, {Types: some, Before: before}, {Since: time.Now(), Before: before}} {
		query, args := selectRecent(q)
		plan := planOf(t, db, query, args)
		if !strings.Contains(plan, "events USING INDEX events_at") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan of %+v is\n%s\nwant the order of events_at", q, plan)
		}
	}
}
