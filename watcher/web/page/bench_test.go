package page_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pushwatch/watcher"
)

// BenchmarkTaskList asks for the list of pushes in a database of 100,000, of which
// every hundredth has ended, in the ways that make it look at the most of them.
func BenchmarkTaskList(b *testing.B) {
	w := newWorld(b)
	for from := 0; from < 100_000; from += 10_000 {
		tasks := make([]watcher.Task, 10_000)
		for i := range tasks {
			n := from + i
			tasks[i] = watcher.Task{
				Key: watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("ghucnligqtgtvk%07x", n*7919%0xfffffff)}, Account: "school",
				Labels: map[string]string{"course": fmt.Sprintf("math-%d", n%1000), "room": fmt.Sprint(n)}, RegisteredAt: time.Now().Add(-time.Duration(n) * time.Second),
			}
		}
		saved, _, err := w.db.Register(b.Context(), tasks, false)
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(saved); i += 100 {
			w.happen(saved[i], seen{kind: watcher.PushStopped, push: ended(time.Hour, 0, "AUTO")})
		}
	}
	for _, path := range []string{
		"/", "/tasks", "/tasks?state=ended", "/tasks?state=failed", "/tasks?state=all&id=ghucnligqtgtvk00000f7", "/tasks?id=nothing-like-this", "/tasks?label=course:none", "/events", "/events?type=push.failed",
	} {
		b.Run(path[1:], func(b *testing.B) {
			for b.Loop() {
				if got := w.get(path); got.Code != http.StatusOK {
					b.Fatalf("GET %s = %d", path, got.Code)
				}
			}
		})
	}
}
