package page_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pushwatch/watcher"
)

// populate registers 100,000 pushes, of which every hundredth has ended.
func (w *world) populate() {
	w.Helper()
	for from := 0; from < 100_000; from += 10_000 {
		tasks := make([]watcher.Task, 10_000)
		for i := range tasks {
			n := from + i
			tasks[i] = watcher.Task{
				Key: watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("ghucnligqtgtvk%07x", n*7919%0xfffffff)}, Account: "school",
				Labels: map[string]string{"course": fmt.Sprintf("math-%d", n%1000), "room": fmt.Sprint(n)}, RegisteredAt: time.Now().Add(-time.Duration(n) * time.Second),
			}
		}
		saved, err := w.db.Register(w.Context(), tasks, false)
		if err != nil {
			w.Fatal(err)
		}
		for i := 0; i < len(saved); i += 100 {
			w.happen(saved[i].Task, seen{kind: watcher.PushStopped, push: ended(time.Hour, 0, "AUTO")})
		}
	}
}

// BenchmarkTaskList asks for the list of pushes in a database of 100,000 in the ways
// that make it look at the most of them.
func BenchmarkTaskList(b *testing.B) {
	w := newWorld(b)
	w.populate()
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

// BenchmarkBrowser opens views of 100,000 pushes in a real browser. It reports the
// median times from the start of the navigation to the last byte of the view, and to
// the load event, when all is there to be seen.
func BenchmarkBrowser(b *testing.B) {
	w := newWorld(b)
	w.populate()
	w.anHour()
	tb := startChrome(b).browse(b, w)
	for _, path := range []string{"/", "/tasks", "/tasks?state=failed", "/tasks?id=nothing-like-this", "/tasks?label=course:math-7", "/tasks?label=course:none"} {
		b.Run(cmp.Or(path[1:], "overview"), func(b *testing.B) {
			var answers, loads []float64
			for b.Loop() {
				tb.goTo(path)
				tb.until("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
				timing := tb.eval("(({responseEnd, loadEventEnd}) => [responseEnd, loadEventEnd])(performance.getEntriesByType('navigation')[0])").([]any)
				answers, loads = append(answers, timing[0].(float64)), append(loads, timing[1].(float64))
			}
			b.ReportMetric(0, "ns/op") // the driving of the browser is no part of it
			b.ReportMetric(median(answers), "answer-ms")
			b.ReportMetric(median(loads), "load-ms")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
