package schedule

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"pushwatch/watcher"
)

// manyTasks fills a schedule with pushes of the last hour and a half, of which
// none needs a rest.
func manyTasks(n int) (*Schedule, []Entry) {
	s := New(Config{MaxStaleness: time.Minute}, NewHazards())
	entries := make([]Entry, n)
	for i := range entries {
		started := sinceNoon(-time.Duration(i%5400) * time.Second)
		task := watcher.Task{
			State: watcher.Pushing, RegisteredAt: started, LastPolledAt: sinceNoon(-time.Duration(1 + i*7919%n)),
			Push: &watcher.Push{PushStartTime: new(started.Unix())},
		}
		if i%3 == 0 {
			task.ExpectedStopAt = started.Add(45 * time.Minute)
		}
		entries[i] = *NewEntry(&task)
		s.Put(&entries[i], noon)
	}
	return s, entries
}

var taskCounts = []int{1_000, 10_000, 100_000, 1_000_000}

// BenchmarkSchedulePoll is what the schedule costs a poll: a pick, and the
// putting back.
func BenchmarkSchedulePoll(b *testing.B) {
	for _, n := range taskCounts {
		b.Run(fmt.Sprint("tasks=", n), func(b *testing.B) {
			s, _ := manyTasks(n)
			now := sinceNoon(time.Second)
			b.ReportAllocs()
			for b.Loop() {
				e := s.Take(now, watcher.MaxRequestsPerSecond)
				e.Asked = watcher.TickOf(now)
				s.Put(e, now)
				now = now.Add(50 * time.Microsecond) // slow, so that the pushes stay what they are
			}
			b.ReportMetric(float64(len(s.fronts)), "cohorts")
		})
	}
}

// BenchmarkScheduleChange is what it costs to register a task and to drop it.
func BenchmarkScheduleChange(b *testing.B) {
	for _, n := range taskCounts {
		b.Run(fmt.Sprint("tasks=", n), func(b *testing.B) {
			s, entries := manyTasks(n)
			now := sinceNoon(time.Second)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				e := &entries[i%n]
				s.Remove(e)
				s.Put(e, now)
				i += 7919
			}
		})
	}
}

// BenchmarkScheduleMemory reports what the schedule itself holds for a task.
func BenchmarkScheduleMemory(b *testing.B) {
	for _, n := range taskCounts {
		b.Run(fmt.Sprint("tasks=", n), func(b *testing.B) {
			bytes := 0.0
			for b.Loop() {
				bytes = bytesPerTask(n)
			}
			b.ReportMetric(bytes, "B/task")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bytesPerTask fills a schedule and returns what that adds to the heap, with the
// places that lie in the entries.
func bytesPerTask(n int) float64 {
	_, entries := manyTasks(n)
	for i := range entries {
		entries[i].place = place{}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newSchedule()
	for i := range entries {
		s.Put(&entries[i], noon)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(s)
	return float64(after.HeapAlloc-before.HeapAlloc)/float64(n) + float64(unsafe.Sizeof(place{}))
}
