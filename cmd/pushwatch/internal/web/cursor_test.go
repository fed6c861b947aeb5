package web

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher"
)

func TestEventCursor(t *testing.T) {
	for _, p := range []watcher.Position{{}, {1: 1}, {1: 300, 2: 1, 900: math.MaxInt64}, {math.MaxInt64: 7}} {
		if got, err := readEventCursor(eventCursor(p)); err != nil || !maps.Equal(got, p) {
			t.Errorf("readEventCursor(eventCursor(%v)) = %v, %v", p, got, err)
		}
	}
	many := make(watcher.Position)
	for shard := range int64(200) {
		many[shard+1] = 5000
	}
	if got := eventCursor(many); len(got) > 900 {
		t.Errorf("the cursor of 200 accounts has %d bytes, want at most 900: it goes into a header", len(got))
	}
}

// FuzzEventCursor holds that whatever is read as a cursor is a position that may
// be asked for.
func FuzzEventCursor(f *testing.F) {
	f.Add("AQEq")
	f.Add("AQH___________8BAQ")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := readEventCursor(s)
		if err != nil {
			return
		}
		for shard, number := range p {
			if shard <= 0 || number <= 0 {
				t.Errorf("readEventCursor(%q) = %v", s, p)
			}
		}
		if again, err := readEventCursor(eventCursor(p)); err != nil || !maps.Equal(again, p) {
			t.Errorf("readEventCursor(%q) = %v, and again %v, %v", s, p, again, err)
		}
	})
}

// TestEvents reads pages while events come: each once, none behind the reader.
func TestEvents(t *testing.T) {
	j := newJournal(1)
	h := New(Config{Events: j, Metrics: prometheus.NewRegistry()})
	cursor, seen := "", 0
	for j.add(25); ; {
		w := ask(h, "GET", "/v1/events?limit=10&after="+cursor, "")
		var page struct {
			Events []struct{ N int }
			Cursor string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("GET = %d %s", w.Code, w.Body)
		}
		for _, e := range page.Events {
			if seen++; e.N != seen {
				t.Fatalf("event %d follows upon %d", e.N, seen-1)
			}
		}
		if cursor = page.Cursor; len(page.Events) == 0 {
			break
		}
		if seen == 10 {
			j.add(7)
		}
	}
	if seen != 32 {
		t.Errorf("%d events were listed, want 32", seen)
	}
	j.add(1)
	if w := ask(h, "GET", "/v1/events?after="+cursor, ""); w.Code != 200 || !json.Valid(w.Body.Bytes()) || len(w.Body.Bytes()) < 40 {
		t.Errorf("GET behind an empty page = %d %s, want the new event", w.Code, w.Body)
	}
	last, _ := j.LastEvents(context.Background())
	if w := ask(h, "GET", "/v1/events?after=now", ""); w.Body.String() != `{"events":[],"cursor":"`+eventCursor(last)+`"}`+"\n" {
		t.Errorf("GET from now on = %s, want none and the newest cursor", w.Body)
	}
}
