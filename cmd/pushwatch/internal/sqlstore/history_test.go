package sqlstore

import (
	"strings"
	"testing"

	"pushwatch/watcher"
)

// TestEventsPlan checks that no query of events reads the whole table.
func TestEventsPlan(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	for _, test := range []struct {
		query watcher.EventQuery
		want  string
	}{
		{watcher.EventQuery{}, "SEARCH events USING INDEX sqlite_autoindex_events_2 (shard=? AND number>? AND number<?)"},
		{watcher.EventQuery{Newest: true}, "SEARCH events USING INDEX sqlite_autoindex_events_2 (shard=? AND number>? AND number<?)"},
		{watcher.EventQuery{Types: []watcher.EventType{watcher.PushFailed}}, "events_type ((shard,type,number)>(?,?,?) AND (shard,type,number)<(?,?,?))"},
		{watcher.EventQuery{Types: []watcher.EventType{watcher.PushFailed, watcher.PushStopped}, Newest: true}, "events_type ((shard,type,number)>(?,?,?) AND (shard,type,number)<(?,?,?))"},
		{watcher.EventQuery{Subject: "1400000001/a", Types: []watcher.EventType{watcher.PushFailed}}, "(sdk_app_id=? AND task_id=?)"},
		{watcher.EventQuery{Subject: "1400000001/a"}, "(sdk_app_id=? AND task_id=?)"},
		{watcher.EventQuery{Subject: "1400000001/a"}, "events_announced (shard=? AND number>? AND number<?)"},
		{watcher.EventQuery{Subject: "1400000001/a", Newest: true}, "events_announced (shard=? AND number>? AND number<?)"},
		{watcher.EventQuery{Subject: "school"}, "events_announced (shard=? AND number>? AND number<?)"},
	} {
		query, args := (&shardReader{query: test.query}).statement()
		if got := planOf(t, db, query, args); !strings.Contains(got, test.want) || strings.Contains(got, "SCAN events") {
			t.Errorf("plan of %+v is\n%s\nwant %s in it", test.query, got, test.want)
		}
	}
}
