package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)

func newTask() Task {
	return Task{Key: Key{1400000001, "g42lfmu5uc3lpoqrqvvb"}, Account: "school", State: Registered, RegisteredAt: began, Version: 1}
}

// saw is an answer with a Status; more sets further fields.
func saw(status string, more ...func(*Push)) func(time.Time) Observation {
	return func(at time.Time) Observation {
		p := &Push{RequestID: new("d290f1ee")}
		if status != "" {
			p.Status = &status
		}
		for _, set := range more {
			set(p)
		}
		return Observation{At: at, Push: p}
	}
}

func reason(r string) func(*Push)     { return func(p *Push) { p.FinishReason = &r } }
func exceptions(n int64) func(*Push)  { return func(p *Push) { p.ExceptionCount = &n } }
func startedAt(n int64) func(*Push)   { return func(p *Push) { p.PushStartTime = &n } }
func withBackup(b string) func(*Push) { return func(p *Push) { p.Backup = &b } }

func failed(kind Kind, code string) func(time.Time) Observation {
	return func(at time.Time) Observation {
		return Observation{At: at, Error: &CloudError{Kind: kind, Code: code, Message: "m"}}
	}
}

var (
	unknown = failed(UnknownTask, "InvalidParameter.TaskNotFound")
	broken  = failed(FailedTask, "FailedOperation.WhiteboardPush")
	bare    = saw("")
)

// step is one poll, so long after the one before.
type step struct {
	after time.Duration
	o     func(time.Time) Observation // nil: the poll observed nothing, and the push is blind by itself
}

// nothing is a poll of a push that is blind by itself since a time.
func nothing(at, alone time.Time) Blackout {
	return Blackout{At: at, Alone: alone, Error: PollError{Code: "InternalError", Message: "m", Since: alone}}
}

// TestApply goes through every event that one task can cause. The events read
// "type previous>state +exceptions".
func TestApply(t *testing.T) {
	const s, m = time.Second, time.Minute
	for _, c := range []struct {
		name  string
		stop  time.Duration // planned, after registration; 0: not known
		steps []step
		want  string
		state State
	}{
		{"a class", 0, []step{{s, saw("PREPARED")}, {s, saw("PREPARED")}, {s, saw("PUSHING")}, {s, saw("PUSHING")}, {m, saw("STOPPED", reason("USER_CALL"), startedAt(5))}},
			"push.preparing registered>preparing, push.started preparing>pushing, push.stopped pushing>stopped", Stopped},
		{"nothing after the end", 0, []step{{s, saw("PUSHING")}, {s, saw("STOPPED")}, {s, saw("PUSHING")}, {s, broken}, {s, unknown}},
			"push.started registered>pushing, push.stopped pushing>stopped", Stopped},
		{"stopped by itself", 0, []step{{s, saw("PUSHING")}, {s, saw("STOPPED", reason("AUTO"))}}, "push.started registered>pushing, push.stopped pushing>stopped", Stopped},
		{"a reason not known", 0, []step{{s, saw("PUSHING")}, {s, saw("STOPPED", reason("MOON"))}}, "push.started registered>pushing, push.stopped pushing>stopped", Stopped},
		{"stopped by an exception", 0, []step{{s, saw("PUSHING")}, {s, saw("STOPPED", reason("EXCEPTION"), exceptions(2))}},
			"push.started registered>pushing, push.failed pushing>failed +2", Failed},
		{"start and stop in one poll", 0, []step{{m, saw("STOPPED", reason("USER_CALL"), startedAt(9), exceptions(1))}},
			"push.started registered>pushing, push.stopped pushing>stopped +1", Stopped},
		{"start and stop in one poll, after PREPARED", 0, []step{{s, saw("PREPARED")}, {m, saw("STOPPED", startedAt(9))}},
			"push.preparing registered>preparing, push.started preparing>pushing, push.stopped pushing>stopped", Stopped},
		{"a stop without a start", 0, []step{{m, saw("STOPPED", reason("EXCEPTION"), startedAt(0))}}, "push.failed registered>failed", Failed},
		{"failed as an error", 0, []step{{s, saw("PUSHING")}, {s, broken}, {s, broken}}, "push.started registered>pushing, push.failed pushing>failed", Failed},
		{"failed before it was seen", 0, []step{{s, broken}, {s, broken}}, "push.failed registered>failed", Failed},
		{"failed once, and goes on", 0, []step{{s, saw("PUSHING")}, {s, broken}, {s, saw("PUSHING")}, {s, broken}, {s, saw("PUSHING")}}, "push.started registered>pushing", Pushing},
		{"failed, but not in a row", 0, []step{{s, saw("PUSHING")}, {m, broken}, {5 * s, bare}, {s, broken}, {5 * s, unknown}, {s, broken}, {s, saw("STOPPED")}}, "push.started registered>pushing, push.stopped pushing>stopped", Stopped},

		{"blind, once, and seen again", 0, []step{{s, saw("PUSHING")}, {m, nil}, {m, nil}, {m, saw("PUSHING")}, {m, nil}, {m, saw("PUSHING")}},
			"push.started registered>pushing, push.blind pushing>pushing, push.sighted pushing>pushing, push.blind pushing>pushing, push.sighted pushing>pushing", Pushing},
		{"blind from the start, seen stopped", 0, []step{{m, nil}, {m, saw("STOPPED", startedAt(9))}},
			"push.blind registered>registered, push.sighted registered>registered, push.started registered>pushing, push.stopped pushing>stopped", Stopped},
		{"overdue while blind, once", 10 * m, []step{{s, saw("PUSHING")}, {5 * m, nil}, {20 * m, nil}, {m, nil}, {m, saw("PUSHING")}},
			"push.started registered>pushing, push.blind pushing>pushing, push.overdue pushing>pushing, push.sighted pushing>pushing", Pushing},
		{"stalled while blind, once", 0, []step{{s, saw("PREPARED")}, {m, nil}, {2 * m, nil}, {m, nil}},
			"push.preparing registered>preparing, push.blind preparing>preparing, push.stalled preparing>preparing", Preparing},
		{"abandoned", 0, []step{{s, saw("PUSHING")}, {m, nil}, {71 * time.Hour, nil}, {time.Hour, nil}, {m, nil}, {m, saw("PUSHING")}},
			"push.started registered>pushing, push.blind pushing>pushing, push.abandoned pushing>abandoned", Abandoned},

		{"exceptions", 0, []step{{s, saw("PUSHING", exceptions(0))}, {s, saw("PUSHING", exceptions(2))}, {s, saw("PUSHING")}, {s, saw("PUSHING", exceptions(1))}, {s, saw("PUSHING", exceptions(3))}},
			"push.started registered>pushing, push.exception pushing>pushing +2, push.exception pushing>pushing +1", Pushing},
		{"exceptions at the first sight", 0, []step{{s, saw("PUSHING", exceptions(2))}}, "push.started registered>pushing, push.exception pushing>pushing +2", Pushing},
		{"exceptions with the end", 0, []step{{s, saw("PUSHING", exceptions(1))}, {s, saw("STOPPED", exceptions(4))}},
			"push.started registered>pushing, push.exception pushing>pushing +1, push.stopped pushing>stopped +3", Stopped},

		{"stalled, once", 0, []step{{s, saw("PREPARED")}, {2 * m, saw("PREPARED")}, {s, saw("PREPARED")}, {m, saw("PREPARED")}},
			"push.preparing registered>preparing, push.stalled preparing>preparing", Preparing},
		{"overdue, once", 10 * m, []step{{s, saw("PUSHING")}, {20*m - s, saw("PUSHING")}, {s, saw("PUSHING")}, {m, saw("PUSHING")}},
			"push.started registered>pushing, push.overdue pushing>pushing", Pushing},
		{"no plan, never overdue", 0, []step{{s, saw("PUSHING")}, {1000 * m, saw("PUSHING")}}, "push.started registered>pushing", Pushing},

		{"backup", 0, []step{{s, saw("PUSHING", withBackup(""))}, {s, saw("PUSHING", withBackup("{}"))}, {s, saw("PUSHING", withBackup("a"))}, {s, saw("PUSHING")}, {s, saw("PUSHING", withBackup("a"))}, {s, saw("PUSHING", withBackup("b"))}},
			"push.started registered>pushing, push.backup_changed pushing>pushing", Pushing},
		{"backup with the end", 0, []step{{s, saw("PUSHING", withBackup("a"))}, {s, saw("STOPPED", withBackup("b"))}},
			"push.started registered>pushing, push.backup_changed pushing>pushing, push.stopped pushing>stopped", Stopped},

		{"an unknown status, once, and back", 0, []step{{s, saw("PUSHING")}, {s, saw("PAUSED")}, {s, saw("PAUSED")}, {s, saw("PUSHING")}},
			"push.started registered>pushing, push.changed pushing>pushing, push.changed pushing>pushing", Pushing},
		{"an unknown status first", 0, []step{{s, saw("WARMING")}, {s, saw("PUSHING")}}, "push.changed registered>registered, push.started registered>pushing", Pushing},
		{"backwards, once", 0, []step{{s, saw("PUSHING")}, {s, saw("PREPARED")}, {s, saw("PUSHING")}, {s, saw("PREPARED")}, {s, saw("PUSHING")}},
			"push.started registered>pushing", Pushing},
		{"backwards, twice", 0, []step{{s, saw("PUSHING")}, {s, saw("PREPARED")}, {s, saw("PREPARED")}, {s, saw("PREPARED")}, {s, saw("PUSHING")}},
			"push.started registered>pushing, push.changed pushing>preparing, push.changed preparing>pushing", Pushing},
		{"stalled after running backwards", 0, []step{{s, saw("PREPARED")}, {s, saw("PUSHING")}, {10 * m, saw("PREPARED")}, {s, saw("PREPARED")}, {m, saw("PREPARED")}, {2 * m, saw("PREPARED")}},
			"push.preparing registered>preparing, push.started preparing>pushing, push.changed pushing>preparing, push.stalled preparing>preparing", Preparing},

		{"not found, but early", 0, []step{{s, unknown}, {s, unknown}, {20 * s, unknown}, {s, saw("PREPARED")}}, "push.preparing registered>preparing", Preparing},
		{"not found, confirmed", 0, []step{{s, unknown}, {30 * s, unknown}, {5 * s, unknown}}, "push.not_found registered>not_found", NotFound},
		{"not found in a glitch", 0, []step{{s, saw("PUSHING")}, {m, unknown}, {s, unknown}, {s, unknown}, {s, unknown}, {s, saw("PUSHING")}}, "push.started registered>pushing", Pushing},
		{"not found beyond a glitch", 0, []step{{m, unknown}, {s, unknown}, {3 * s, unknown}, {s, unknown}}, "push.not_found registered>not_found", NotFound},
		{"not found, but not in a row", 0, []step{{31 * s, unknown}, {5 * s, saw("PREPARED")}, {5 * s, unknown}, {5 * s, bare}, {5 * s, unknown}, {5 * s, broken}, {5 * s, unknown}}, "push.preparing registered>preparing", Preparing},
		{"not found while pushing", 0, []step{{s, saw("PUSHING")}, {m, unknown}, {5 * s, unknown}}, "push.started registered>pushing, push.not_found pushing>not_found", NotFound},
		{"no status, but early", 0, []step{{s, bare}, {10 * s, bare}, {10 * s, bare}, {s, saw("PREPARED")}}, "push.preparing registered>preparing", Preparing},
		{"no status, confirmed", 0, []step{{20 * s, bare}, {10 * s, bare}, {5 * s, bare}}, "push.failed registered>failed", Failed},
		{"no status in a glitch", 0, []step{{s, saw("PUSHING")}, {m, bare}, {s, bare}, {s, bare}, {s, bare}, {s, saw("PUSHING")}}, "push.started registered>pushing", Pushing},
		{"no status beyond a glitch", 0, []step{{m, bare}, {s, bare}, {3 * s, bare}, {s, bare}}, "push.failed registered>failed", Failed},
		{"no status, once", 0, []step{{s, saw("PUSHING")}, {s, bare}, {s, saw("PUSHING")}, {s, bare}, {s, saw("PUSHING")}}, "push.started registered>pushing", Pushing},
	} {
		t.Run(c.name, func(t *testing.T) {
			task := newTask()
			if c.stop > 0 {
				task.ExpectedStopAt = began.Add(c.stop)
			}
			var got []string
			at := began
			var alone time.Time
			for _, step := range c.steps {
				at = at.Add(step.after)
				before := task
				var events []Event
				if step.o != nil {
					alone = time.Time{}
					task, events = Rules{}.Apply(task, step.o(at))
				} else {
					if alone.IsZero() {
						alone = at
					}
					task, events = Rules{}.Elapse(task, nothing(at, alone))
				}
				for _, e := range events {
					text := fmt.Sprintf("%s %s>%s", e.Type, e.PreviousState, e.State)
					if e.ExceptionsAdded != 0 {
						text += fmt.Sprintf(" +%d", e.ExceptionsAdded)
					}
					got = append(got, text)
					if !e.ObservedAt.Equal(at) || !e.LastObservedAt.Equal(before.LastObservedAt) {
						t.Errorf("%s: observed %v after %v, want %v after %v", e.Type, e.ObservedAt, e.LastObservedAt, at, before.LastObservedAt)
					}
				}
			}
			if got := strings.Join(got, ", "); got != c.want {
				t.Errorf("events\n  %s\nwant\n  %s", got, c.want)
			}
			if task.State != c.state {
				t.Errorf("state = %s, want %s", task.State, c.state)
			}
			if task.State.Ended() == task.EndedAt.IsZero() {
				t.Errorf("state %s with EndedAt %v", task.State, task.EndedAt)
			}
		})
	}
}

// TestConfirmations has the settings ask for another count and another grace.
func TestConfirmations(t *testing.T) {
	rules := Rules{Confirmations: 4, NotFoundGrace: time.Second}
	task := newTask()
	for i := range 4 {
		task, _ = rules.Apply(task, unknown(began.Add(time.Duration(i+1)*5*time.Second)))
		if want := i == 3; task.State.Ended() != want {
			t.Errorf("after %d answers: ended = %v, want %v", i+1, task.State.Ended(), want)
		}
	}
}

// TestEventID holds what an event's id must depend on, and what not.
func TestEventID(t *testing.T) {
	first := func(task Task, o Observation) string {
		_, events := Rules{}.Apply(task, o)
		return events[0].ID
	}
	id := first(newTask(), saw("PUSHING")(began.Add(time.Second)))
	if !strings.HasPrefix(id, "msg_") || len(id) != 30 {
		t.Errorf("id = %q, want msg_ and 26 characters", id)
	}
	if again := first(newTask(), saw("PUSHING")(began.Add(time.Minute))); again != id {
		t.Errorf("the same fact seen later has id %s, want %s", again, id)
	}
	other, renewed := newTask(), newTask()
	other.TaskID = "other"
	renewed.RegisteredAt = began.Add(time.Hour)
	for name, got := range map[string]string{
		"another task":     first(other, saw("PUSHING")(began.Add(time.Second))),
		"another watching": first(renewed, saw("PUSHING")(began.Add(time.Second))),
		"another fact":     first(newTask(), saw("PREPARED")(began.Add(time.Second))),
	} {
		if got == id {
			t.Errorf("%s has the same id", name)
		}
	}
}

// FuzzApply feeds the machine any sequence of answers, in two lives at once: one
// process that never stops, and one that crashes after every answer, which loses
// what is not saved and may see an answer twice.
func FuzzApply(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 40, 3, 41, 9})
	f.Add([]byte{7, 7, 7, 2, 1, 1, 2, 90, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		steady, crashing := newTask(), newTask()
		steady.ExpectedStopAt, crashing.ExpectedStopAt = began.Add(time.Minute), began.Add(time.Minute)
		emitted := make(map[string]bool)
		at := began
		for _, b := range script {
			at = at.Add(time.Duration(b%7) * 20 * time.Second)
			if b%11 == 9 {
				steady = checkMove(t, steady, Observation{At: at}, emitted)
				crashing = checkMove(t, crashing, Observation{At: at}, nil)
				continue
			}
			o := answer(b)(at)
			steady = checkMove(t, steady, o, emitted)

			crashing = checkMove(t, crashing, o, nil)
			crashing.Memory.Doubt = Doubt{}
			again, events := Rules{}.Apply(crashing, o)
			if len(events) > 0 && crashing.Memory.Status != "" && value(o.Push.statusOrNil()) == crashing.Memory.Status {
				t.Fatalf("answer %d seen twice emits %s again", b, events[0].Type)
			}
			_ = again
		}
	})
}

// statusOrNil is the Status of an answer that may be none.
func (p *Push) statusOrNil() *string {
	if p == nil {
		return nil
	}
	return p.Status
}

// answer makes an answer out of a byte.
func answer(b byte) func(time.Time) Observation {
	statuses := []string{"PREPARED", "PUSHING", "STOPPED", "PAUSED", "PREPARED", "PUSHING", "PUSHING"}
	switch kind := b % 11; kind {
	case 7:
		return bare
	case 8:
		return unknown
	case 10:
		if b > 128 {
			return broken
		}
		return unknown
	default:
		var more []func(*Push)
		if b&16 != 0 {
			more = append(more, exceptions(int64(b%5)))
		}
		if b&32 != 0 {
			more = append(more, withBackup(string('a'+rune(b%3))))
		}
		if b&64 != 0 {
			more = append(more, startedAt(5), reason([]string{"AUTO", "EXCEPTION", ""}[b%3]))
		}
		return saw(statuses[kind], more...)
	}
}

// once are the events of which a watching has at most one.
var once = []EventType{PushPreparing, PushStarted, PushStalled, PushOverdue, PushStopped, PushFailed, PushNotFound, PushAbandoned}

// checkMove applies o, or, if o is zero, a failed poll of a push that is
// blind by itself. It holds what must be true of every move.
func checkMove(t *testing.T, before Task, o Observation, emitted map[string]bool) Task {
	t.Helper()
	rules := Rules{AbandonAfter: 10 * time.Minute}
	after, events := before, []Event(nil)
	if o.Push != nil || o.Error != nil {
		after, events = rules.Apply(before, o)
	} else {
		alone := o.At
		if before.Memory.Blind != nil {
			alone = before.Memory.Blind.Alone
		}
		after, events = rules.Elapse(before, nothing(o.At, alone))
	}
	if before.State.Ended() && (len(events) > 0 || after.State != before.State) {
		t.Fatalf("an ended task (%s) moved to %s with %d events", before.State, after.State, len(events))
	}
	if after.Sequence != before.Sequence+int64(len(events)) {
		t.Fatalf("sequence went from %d to %d with %d events", before.Sequence, after.Sequence, len(events))
	}
	previous := before.State
	for i, e := range events {
		if e.Sequence != before.Sequence+int64(i)+1 {
			t.Fatalf("event %d of %d has number %d after %d", i, len(events), e.Sequence, before.Sequence)
		}
		if e.PreviousState != previous {
			t.Fatalf("%s has previous state %s, want %s", e.Type, e.PreviousState, previous)
		}
		previous = e.State
		if e.State.Ended() && i != len(events)-1 {
			t.Fatalf("%s ends the task, and %s follows", e.Type, events[i+1].Type)
		}
		if emitted == nil {
			continue
		}
		if emitted[e.ID] {
			t.Fatalf("id %s was emitted twice", e.ID)
		}
		emitted[e.ID] = true
		if slices.Contains(once, e.Type) {
			if emitted[string(e.Type)] {
				t.Fatalf("%s was emitted twice", e.Type)
			}
			emitted[string(e.Type)] = true
		}
	}
	var spell []EventType
	for _, e := range events {
		if e.Type == PushBlind || e.Type == PushSighted {
			spell = append(spell, e.Type)
		}
	}
	if blind := before.Memory.Blind != nil; len(spell) > 1 || len(spell) == 1 && (spell[0] == PushBlind) == blind {
		t.Fatalf("blind before: %t, and %v follows", blind, spell)
	}
	if previous != after.State {
		t.Fatalf("the state moved to %s, and the last event says %s", after.State, previous)
	}
	return after
}
