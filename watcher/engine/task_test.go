package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// observedTask returns a task as a store reads it, each text with memory of its own.
func observedTask(i int, now time.Time) watcher.Task {
	return watcher.Task{
		Key: watcher.Key{SDKAppID: 1400000001, TaskID: fmt.Sprintf("ghucnligqtgtvk%06d", i)}, Account: strings.Clone("school"), State: watcher.State(strings.Clone("pushing")),
		Labels:       map[string]string{"course": fmt.Sprintf("math-%d", i), "room": fmt.Sprint(i)},
		RegisteredAt: now.Add(-time.Minute), LastObservedAt: now, LastPolledAt: now, Version: 3, Sequence: 2,
		Push: &watcher.Push{
			Status: new(fmt.Sprint(watcher.StatusPushing)), FinishReason: new(""), RoomID: new(int64(i)), GroupID: new(fmt.Sprint(i)),
			PushUserID: new(fmt.Sprintf("tic_push_user_%d", i)), PushStartTime: new(now.Unix() - 50), PushStopTime: new(int64(0)),
			ExceptionCount: new(int64(0)), IMSyncTime: new(int64(0)), Backup: new(""), RequestID: new(fmt.Sprintf("d290f1ee-6c54-4b01-90e6-%012d", i)),
		},
		Memory: watcher.Memory{Status: fmt.Sprint(watcher.StatusPushing), Started: true},
	}
}

// A hundred thousand live tasks are to fit in 90 MB, with the program itself, the
// database's caches, and as much again as they take for the garbage collector.
func TestLiveTaskIsSmall(t *testing.T) {
	const most = 300 // bytes
	if got := liveTaskBytes(t); got > most {
		t.Errorf("a live task takes %.0f bytes, want at most %d", got, most)
	}
}

// BenchmarkLiveTask reports how many bytes a live task takes, its entry alone and with what
// it stands in.
func BenchmarkLiveTask(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(liveTaskBytes(b), "B/task")
	}
	b.ReportMetric(float64(unsafe.Sizeof(task{})), "B/entry")
	b.ReportMetric(0, "ns/op")
}

// liveTaskBytes adopts tasks, and returns how many bytes each takes.
func liveTaskBytes(t testing.TB) float64 {
	const tasks = 20_000
	w := New(Config{Settings: Settings{Accounts: []AccountConfig{{Name: "school"}}}})
	a := newAccount(w, w.plan(), w.plan().Accounts[0], nil)
	a.log = zap.NewNop()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	now := time.Now()
	for i := range tasks {
		a.adopt(observedTask(i, now))
	}
	bytes := float64(heap()-before) / tasks
	if got := len(a.state.tasks); got != tasks {
		t.Fatalf("%d live tasks, want %d", got, tasks)
	}
	return bytes
}

// An answer is news where the state machine would show or remember it, and only then.
func TestTaskNews(t *testing.T) {
	now := time.Now()
	task := observedTask(1, now)
	again := func(change func(p *watcher.Push)) watcher.Observation {
		p := *task.Push
		p.RequestID = new("another")
		change(&p)
		return watcher.Observation{At: now.Add(time.Second), Push: &p}
	}
	for _, c := range []struct {
		name string
		o    watcher.Observation
		want bool
	}{
		{"the same", again(func(*watcher.Push) {}), false},
		{"null for empty", again(func(p *watcher.Push) { p.FinishReason, p.Backup, p.PushStopTime = nil, new("{}"), nil }), false},
		{"another room", again(func(p *watcher.Push) { p.RoomID = new(int64(2)) }), true},
		{"another user", again(func(p *watcher.Push) { p.PushUserID = new("other") }), true},
		{"an exception", again(func(p *watcher.Push) { p.ExceptionCount = new(int64(1)) }), true},
		{"a backup", again(func(p *watcher.Push) { p.Backup = new("text") }), true},
		{"another status", again(func(p *watcher.Push) { p.Status = new("RESTING") }), true},
		{"an error", watcher.Observation{At: now, Error: &watcher.CloudError{Kind: watcher.UnknownTask, Code: "InvalidParameter.TaskNotFound"}}, true},
	} {
		e := newTask(&task)
		next, _ := watcher.Rules{}.Apply(e.brief(now), c.o)
		if got := e.news(&next); got != c.want {
			t.Errorf("%s: news = %t, want %t", c.name, got, c.want)
		}
		if whole, _ := (watcher.Rules{}).Apply(task, c.o); e.news(&whole) != c.want {
			t.Errorf("%s: news of the whole task = %t, want %t", c.name, !c.want, c.want)
		}
	}
}

// What an engine knows of a task stays as old as it is when the task is read again
// after the wall clock was set; what is new to it is judged by the wall clock.
func TestTaskAnchor(t *testing.T) {
	now := time.Now()
	known := observedTask(1, now)
	known.Memory.PreparedSince = now.Add(-30 * time.Second)
	e := newTask(&known)
	read := func(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() } // as from a store
	for _, set := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		saved := known
		saved.RegisteredAt, saved.Memory.PreparedSince = read(known.RegisteredAt), read(known.Memory.PreparedSince)
		e.anchor(&saved, now.Round(0).Add(set))
		if saved.RegisteredAt != known.RegisteredAt || saved.Memory.PreparedSince != known.Memory.PreparedSince {
			t.Errorf("set by %v: registered at %v, prepared since %v, want %v, %v as before", set,
				saved.RegisteredAt, saved.Memory.PreparedSince, known.RegisteredAt, known.Memory.PreparedSince)
		}
	}
	saved := known
	saved.RegisteredAt = read(now.Add(-time.Second)) // again
	e.anchor(&saved, now)
	if got := now.Sub(saved.RegisteredAt).Round(time.Millisecond); got != time.Second {
		t.Errorf("registered again a second ago: %v ago, want 1s", got)
	}
}

// A task that somebody else has changed keeps the times of its last polls, which are saved
// only now and then, and is not put off any longer.
func TestTaskRefresh(t *testing.T) {
	now := time.Now()
	known := observedTask(1, now)
	e := newTask(&known)
	e.putOff(now, time.Hour, time.Time{})
	amended := known
	amended.Version++
	amended.LastObservedAt, amended.LastPolledAt = now.Add(-time.Hour), now.Add(-time.Hour)
	e.refresh(&amended, now)
	if !amended.LastObservedAt.Equal(now) || e.observed != watcher.TickOf(now) || e.Asked != watcher.TickOf(now) {
		t.Errorf("observed %v ago, want now as before", now.Sub(amended.LastObservedAt))
	}
	if e.NotBefore != watcher.Never {
		t.Error("still put off")
	}
}

// set returns a time as the clocks show it when the wall clock was set meanwhile: the
// monotonic clock runs on.
func set(t *testing.T, now time.Time, by time.Duration) time.Time {
	later := now
	*(*uint64)(unsafe.Pointer(&later)) += uint64(by/time.Second) << 30 // see type time.Time
	if later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != by {
		t.Fatalf("%v set by %v is %v: time.Time is not what it was", now, by, later)
	}
	return later
}

// What a push that is blind by itself waits for comes as soon as the clock says, though
// the wall clock was set.
func TestBlindTaskAfterTheClockWasSet(t *testing.T) {
	for _, by := range []time.Duration{0, 100 * time.Hour, -100 * time.Hour} {
		began := time.Now()
		now := set(t, began, by)
		task := observedTask(1, began)
		e := newTask(&task)
		e.failures = maxFailures
		e.putOff(now, 15*time.Minute, now.Round(0).Add(5*time.Minute))
		if got := e.NotBefore.Since(watcher.TickOf(now)).Round(time.Second); got != 5*time.Minute {
			t.Errorf("set by %v: put off for %v, want 5m", by, got)
		}

		saved := task
		saved.Memory.Blind = &watcher.Blind{Alone: began.Round(0).Add(-time.Hour)} // as from a store
		saved.Anchor(began)
		e = newTask(&saved)
		again := saved
		again.Memory.Blind = &watcher.Blind{Alone: began.Round(0).Add(-time.Hour)}
		e.anchor(&again, now)
		for _, held := range []watcher.Task{e.brief(now), again} {
			if got := now.Sub(held.Memory.Blind.Alone); got != time.Hour {
				t.Errorf("set by %v: blind for %v, want 1h", by, got)
			}
		}
	}
}

func TestBriefKeepsWhatItIsMadeOf(t *testing.T) {
	now := time.Now()
	task := observedTask(1, now.Add(-time.Hour))
	task.ExpectedStopAt = time.UnixMicro(1795371300123456)
	task.Memory.PreparedSince = now.Add(-2 * time.Hour)
	got := newTask(&task).brief(now)
	if got.Key != task.Key || got.State != task.State || got.Version != task.Version || got.Memory != task.Memory {
		t.Errorf("brief = %+v, want %+v", got, task)
	}
	for _, c := range []struct {
		name      string
		got, want time.Time
	}{
		{"RegisteredAt", got.RegisteredAt, task.RegisteredAt},
		{"ExpectedStopAt", got.ExpectedStopAt, task.ExpectedStopAt},
		{"LastObservedAt", got.LastObservedAt, task.LastObservedAt},
		{"LastPolledAt", got.LastPolledAt, task.LastPolledAt},
	} {
		if !c.got.Equal(c.want) {
			t.Errorf("brief: %s = %s, want %s", c.name, c.got, c.want)
		}
	}
	if got := newTask(&watcher.Task{}).brief(now); !got.RegisteredAt.IsZero() || !got.ExpectedStopAt.IsZero() || !got.LastPolledAt.IsZero() {
		t.Errorf("brief of no times = %+v, want none", got)
	}
}
