package page

import (
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// english is the locale of people who have chosen none.
var english = loadCatalogue().locale(localeKey{language: "en"})

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"math 3b, 數學, ελ, 🏫":       "math 3b, 數學, ελ, 🏫",
		"a\x00b\tc\nd\x1b[31m\x7f": "a␀b␉c␊d␛[31m␡",
		"\u0085\u009b":             "⟨U+0085⟩⟨U+009B⟩",
		"\u202egnp.x\u2066\u200f":  "⟨U+202E⟩gnp.x⟨U+2066⟩⟨U+200F⟩",
		"a\u200bb\ufeff\u00ad":     "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+00AD⟩",
		"\u2028\ue000":             "⟨U+2028⟩⟨U+E000⟩",
		"👩\u200d🏫 می\u200cخواهم":   "👩\u200d🏫 می\u200cخواهم",
		"bad \xff":                 "bad \ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 35 * time.Millisecond: "35 ms", 999 * time.Millisecond: "999 ms",
		time.Second: "1 s", 4299 * time.Millisecond: "4.2 s", 59 * time.Second: "59 s", 9999 * time.Millisecond: "9.9 s",
		time.Minute: "1 m", 3*time.Minute + 12*time.Second: "3 m 12 s", time.Hour + 4*time.Minute: "1 h 4 m", 51 * time.Hour: "2 d 3 h",
	} {
		if got := english.span(in); got != want {
			t.Errorf("span(%d) = %q, want %q", in, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567"} {
		if got := count(in); got != want {
			t.Errorf("count(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0", .25: "0.2", 9.96: "10", 20: "20", 12.6: "13"} {
		if got := decimal(in); got != want {
			t.Errorf("decimal(%v) = %q, want %q", in, got, want)
		}
	}
}

// TestChronicle draws a push that was stalled for a while and is planned to end.
func TestChronicle(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	at := func(minutes float64) time.Time { return now.Add(time.Duration(minutes * float64(time.Minute))) }
	task := engine.TaskView{Task: watcher.Task{State: watcher.Pushing, RegisteredAt: at(-50), ExpectedStopAt: at(50)}}
	stateEvent := func(state watcher.State, seen, before float64) event {
		return event{RecentEvent: watcher.RecentEvent{At: at(seen)}, Data: eventData{State: state, LastObservedAt: at(before)}}
	}
	line := newTimeline(english, task, []event{stateEvent(watcher.Preparing, -40, -45), stateEvent(watcher.Pushing, -20, -20.1), stateEvent(watcher.Pushing, -19.9, -20)}, now)

	near := func(got, want float64) bool { return got > want-.01 && got < want+.01 }
	x := func(minutes float64) float64 { return 2 + (minutes+50)*.96 }
	if s := line.Segments; len(s) != 3 || s[0].State != watcher.Registered || s[1].State != watcher.Preparing || s[2].State != watcher.Pushing ||
		!near(s[0].X, 2) || !near(s[1].X, x(-40)) || !near(s[2].X, x(-20)) || !near(s[2].X+s[2].Width, x(0)) {
		t.Errorf("segments = %+v, want registered, preparing, pushing up to now", s)
	}
	if m := line.Marks; len(m) != 3 || !near(m[0].X, x(-40)) || !near(m[0].From(), x(-45)) {
		t.Errorf("marks = %+v, want the first from %v to %v", m, x(-45), x(-40))
	} else if m[0].Y != m[1].Y || m[1].Y == m[2].Y {
		t.Errorf("marks are at the heights %d, %d, %d, want the last, which is close to the one before, on a row of its own", m[0].Y, m[1].Y, m[2].Y)
	}
	if line.Planned == nil || !near(*line.Planned, 98) {
		t.Errorf("planned end at %v, want at the right end", line.Planned)
	}
	if len(line.Ticks) < 2 || line.Ticks[0].Text != "09:30" {
		t.Errorf("ticks = %+v, want round times from 09:30 on", line.Ticks)
	}

	// A push of which there is nothing but its registration, a moment ago.
	line = newTimeline(english, engine.TaskView{Task: watcher.Task{State: watcher.Registered, RegisteredAt: now}}, nil, now)
	if len(line.Marks) > 0 || line.Planned != nil {
		t.Errorf("a new push = %+v, want an empty picture", line)
	}
}
