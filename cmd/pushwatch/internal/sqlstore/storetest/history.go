package storetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"pushwatch/watcher"
)

// history reads events page by page to the end, and returns their ids.
func (b *bench) history(q watcher.EventQuery) (ids []string, end watcher.Position) {
	b.Helper()
	for {
		page, err := b.db.Events(b.Context(), q)
		if err != nil {
			b.Fatalf("Events(%+v) = %v", q, err)
		}
		ids = append(ids, savedIDs(b.T, page.Events)...)
		if len(page.Events) > q.Limit {
			b.Fatalf("Events(%+v) gives %d events, want %d at most", q, len(page.Events), q.Limit)
		}
		q.After = page.Next
		if len(page.Events) == 0 {
			return ids, page.Next
		}
	}
}

// saveTwoAccounts saves four events of a task "a" in one account and three of a task "b"
// in another, a second apart each, their times the same, and an announcement.
func (b *bench) saveTwoAccounts() {
	b.Helper()
	school, college := b.own("school"), b.own("college")
	other := b.registerWith("college", "b")
	x := b.save(school, change(b.register("a")[0], []string{"n"}, watcher.PushPreparing, watcher.PushStarted))
	b.save(college, change(other, nil, watcher.PushPreparing, watcher.PushStarted, watcher.PushException))
	b.save(school, change(x, nil, watcher.PushException, watcher.PushStopped))
	b.announce(college, announcement("msg_blind")) // observed before all
}

func testEvents(t *testing.T, b *bench) {
	if page, err := b.db.Events(t.Context(), watcher.EventQuery{}); err != nil || len(page.Events) > 0 || len(page.Next) > 0 {
		t.Errorf("Events() of none = %+v, %v, want none", page, err)
	}
	b.saveTwoAccounts()
	for _, c := range []struct {
		query watcher.EventQuery
		want  []string
	}{
		{watcher.EventQuery{}, []string{"msg_a-1", "msg_b-1", "msg_a-2", "msg_b-2", "msg_a-3", "msg_b-3", "msg_blind", "msg_a-4"}},
		{watcher.EventQuery{Types: []watcher.EventType{watcher.PushStarted, watcher.PushStopped}}, []string{"msg_a-2", "msg_b-2", "msg_a-4"}},
		{watcher.EventQuery{Types: []watcher.EventType{watcher.PushStopped, watcher.PushStarted, watcher.PushStopped}}, []string{"msg_a-2", "msg_b-2", "msg_a-4"}},
		{watcher.EventQuery{Subject: key("b").String()}, []string{"msg_b-1", "msg_b-2", "msg_b-3"}},
		{watcher.EventQuery{Subject: key("b").String(), Types: []watcher.EventType{watcher.PushStarted}}, []string{"msg_b-2"}},
		{watcher.EventQuery{Subject: "school"}, []string{"msg_blind"}},
		{watcher.EventQuery{Subject: "0" + key("b").String()}, nil},
		{watcher.EventQuery{Types: []watcher.EventType{watcher.WebhookTest}}, nil},
	} {
		for limit := 1; limit < 10; limit++ {
			c.query.Limit = limit
			got, end := b.history(c.query)
			if !slices.Equal(got, c.want) {
				t.Errorf("Events(%+v) = %v, want %v", c.query, got, c.want)
			}
			if last, err := b.db.LastEvents(t.Context()); err != nil || !maps.Equal(end, last) {
				t.Errorf("Events(%+v) ends at %v, want at the last: %v, %v", c.query, end, last, err)
			}
		}
	}

	last, err := b.db.LastEvents(t.Context())
	must(t, err)
	for shard := range last {
		last[shard]++
		_, err := b.db.Events(t.Context(), watcher.EventQuery{After: last})
		wantError(t, fmt.Sprintf("Events(after %v)", last), err, watcher.ErrPosition)
	}
}

// testNewestEvents reads the newest events alone.
func testNewestEvents(t *testing.T, b *bench) {
	b.saveTwoAccounts()
	all := watcher.EventTypes
	for _, c := range []struct {
		query watcher.EventQuery
		want  []string
	}{
		{watcher.EventQuery{Limit: 2}, []string{"msg_a-3", "msg_a-4"}},
		{watcher.EventQuery{Limit: 2, Types: []watcher.EventType{watcher.PushPreparing, watcher.PushException}}, []string{"msg_b-3", "msg_a-3"}},
		{watcher.EventQuery{Limit: 2, Types: all[:len(all)-1], Subject: key("b").String()}, []string{"msg_b-2", "msg_b-3"}},
		{watcher.EventQuery{Limit: 9, Types: []watcher.EventType{watcher.PushStarted}}, []string{"msg_b-2", "msg_a-2"}},
	} {
		c.query.Newest = true
		page, err := b.db.Events(t.Context(), c.query)
		if err != nil {
			t.Fatalf("Events(%+v) = %v", c.query, err)
		}
		got := savedIDs(t, page.Events)
		if last, err := b.db.LastEvents(t.Context()); !slices.Equal(got, c.want) || err != nil || !maps.Equal(page.Next, last) {
			t.Errorf("Events(%+v) = %v and ends at %v, want %v and the last: %v, %v", c.query, got, page.Next, c.want, last, err)
		}
	}
}

// testEventsOfSubject has announcements whose subjects look like those of tasks: of what
// was given up for a task, and of an application where the account's name is a number.
func testEventsOfSubject(t *testing.T, b *bench) {
	a := b.own("school")
	x := b.save(a, change(b.register("a")[0], nil, watcher.PushStarted))
	for id, subject := range map[string]string{"msg_given-up": x.Key.String(), "msg_blind": "100012345678/1400000001", "msg_all-blind": "100012345678"} {
		e := announcement(id)
		e.Body = watcher.NewEnvelope("test", id, e.Type, subject, start, nil).Encode()
		b.announce(a, e)
	}
	b.save(a, change(x, nil, watcher.PushStopped))
	blind := []watcher.EventType{watcher.WatcherBlind}
	for _, c := range []struct {
		subject string
		types   []watcher.EventType
		want    []string
	}{
		{x.Key.String(), nil, []string{"msg_a-1", "msg_given-up", "msg_a-2"}},
		{x.Key.String(), blind, []string{"msg_given-up"}},
		{"100012345678/1400000001", nil, []string{"msg_blind"}},
		{"100012345678", blind, []string{"msg_all-blind"}},
	} {
		for limit := 1; limit < 5; limit++ {
			q := watcher.EventQuery{Subject: c.subject, Types: c.types, Limit: limit}
			if got, _ := b.history(q); !slices.Equal(got, c.want) {
				t.Errorf("Events(%+v) = %v, want %v", q, got, c.want)
			}
		}
	}
}

// testEventsBody checks that an event is shown byte for byte as it was saved.
func testEventsBody(t *testing.T, b *bench) {
	c := change(b.register("a")[0], nil, watcher.PushStopped)
	c.Events[0].Body = []byte(`{"odd" : "<课>\u0000", "n":1.50}`)
	b.save(b.own("school"), c)
	page, err := b.db.Events(t.Context(), watcher.EventQuery{})
	if err != nil || len(page.Events) != 1 || string(page.Events[0].Body) != string(c.Events[0].Body) || page.Events[0].Type != watcher.PushStopped {
		t.Errorf("Events() = %+v, %v, want the body %s", page, err, c.Events[0].Body)
	}
}

// testEventsWhileSaving lets several accounts save while a reader follows: it gets each event
// once, and those of a task in order.
func testEventsWhileSaving(t *testing.T, b *bench) {
	const accounts, changes = 4, 25
	var writers sync.WaitGroup
	for i := range accounts {
		name := fmt.Sprintf("account-%d", i)
		x, a := b.registerWith(name, name), b.own(name)
		writers.Go(func() {
			for range changes {
				c := change(x, nil, watcher.PushChanged, watcher.PushChanged)
				if err := a.Save(t.Context(), c); err != nil {
					t.Errorf("Save() = %v", err)
					return
				}
				x = c.Task
			}
		})
	}
	defer writers.Wait()
	next := make(map[string]int64) // by subject
	q := watcher.EventQuery{Limit: 3}
	for total := 0; total < 2*accounts*changes; {
		changed := b.db.Changed()
		page, err := b.db.Events(t.Context(), q)
		must(t, err)
		for _, e := range page.Events {
			_, subject, sequence := envelope(t, e)
			if sequence != next[subject]+1 {
				t.Fatalf("event %d of %s follows upon %d", sequence, subject, next[subject])
			}
			next[subject] = sequence
		}
		total += len(page.Events)
		q.After = page.Next
		if len(page.Events) == 0 {
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Fatal("the reader was not notified of a change")
			}
		}
	}
	if rest, _ := b.history(q); len(rest) > 0 {
		t.Errorf("events come twice: %v", rest)
	}
}

// savedIDs returns the ids of events.
func savedIDs(t *testing.T, events []watcher.SavedEvent) (ids []string) {
	t.Helper()
	for _, e := range events {
		id, _, _ := envelope(t, e)
		ids = append(ids, id)
	}
	return ids
}

// envelope returns an event as its readers get it.
func envelope(t *testing.T, e watcher.SavedEvent) (id, subject string, sequence int64) {
	t.Helper()
	var v struct {
		ID, Subject string
		Data        struct{ Sequence int64 }
	}
	must(t, json.Unmarshal(e.Body, &v))
	return v.ID, v.Subject, v.Data.Sequence
}
