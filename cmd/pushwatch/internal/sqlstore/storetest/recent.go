package storetest

import (
	"slices"
	"testing"

	"pushwatch/watcher"
)

func testRecentEvents(t *testing.T, b *bench) {
	school, college := b.own("school"), b.own("college")
	other := b.registerWith("college", "b")
	// The two tasks' events are a second apart each, their times the same.
	a := b.save(school, change(b.register("a")[0], nil, watcher.PushPreparing, watcher.PushStarted))
	b.save(college, change(other, nil, watcher.PushPreparing, watcher.PushStarted))
	a = b.save(school, change(a, nil, watcher.PushStopped))
	b.announce(college, announcement("msg_blind")) // observed before all
	none := b.register("none")[0]

	for _, c := range []struct {
		query watcher.RecentQuery
		want  []string
	}{
		{watcher.RecentQuery{}, []string{"msg_a-3", "msg_b-2", "msg_a-2", "msg_b-1", "msg_a-1", "msg_blind"}},
		{watcher.RecentQuery{Types: []watcher.EventType{watcher.PushStopped, watcher.PushPreparing}}, []string{"msg_a-3", "msg_b-1", "msg_a-1"}},
		{watcher.RecentQuery{Keys: []watcher.Key{key("b")}}, []string{"msg_b-2", "msg_b-1"}},
		{watcher.RecentQuery{Keys: []watcher.Key{key("a"), key("none"), key("b")}, Types: []watcher.EventType{watcher.PushStarted}}, []string{"msg_b-2", "msg_a-2"}},
		{watcher.RecentQuery{Keys: []watcher.Key{key("none")}}, nil},
		{watcher.RecentQuery{Since: start.Add(2e9)}, []string{"msg_a-3", "msg_b-2", "msg_a-2"}},
		{watcher.RecentQuery{Since: start.Add(2e9), Before: watcher.EventMark{At: start.Add(3e9)}}, []string{"msg_b-2", "msg_a-2"}},
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for q := c.query; ; {
				q.Limit = limit
				page, err := b.db.RecentEvents(t.Context(), q)
				if err != nil {
					t.Fatalf("RecentEvents(%+v) = %v", q, err)
				}
				for _, e := range page {
					id, _, _ := envelope(t, e.SavedEvent)
					got = append(got, id)
					q.Before = e.Mark()
				}
				if len(page) < limit {
					break
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("RecentEvents(%+v) in pages of %d = %q, want %q", c.query, limit, got, c.want)
			}
		}
	}

	last, err := b.db.LastChanges(t.Context(), []watcher.Task{a, none})
	if err != nil || len(last) != 1 {
		t.Fatalf("LastChanges(a, none) = %+v, %v, want that of a", last, err)
	}
	if e := last[a.Key]; e.Type != watcher.PushStopped || !e.At.Equal(start.Add(3e9)) {
		t.Errorf("LastChanges(a) = %s at %s, want its third", e.Type, e.At)
	}
}
