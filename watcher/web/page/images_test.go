package page_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pushwatch/watcher"
)

// anHour has the world's last hour be one of a school day in which others used
// the account's quota for a while.
func (w *world) anHour() {
	for s := 3600.0; s >= 0; s -= 15 {
		a := fine("school")
		a.Used = 9 + 5*math.Sin(s/700) + 1.3*math.Sin(s/41) + .8*math.Sin(s/23)
		if s > 1500 && s < 2000 {
			a.Granted = 11 + (2000-s)/62
			a.Used = min(a.Used, a.Granted)
		}
		w.show(a)
		w.hour.Sample(time.Now().Add(-time.Duration(s) * time.Second))
	}
	w.show(fine("school"))
}

// TestImages makes the pictures of the README, and all others that are worth a
// look, in the folder that PUSHWATCH_IMAGES names:
//
//	PUSHWATCH_IMAGES=/tmp/images go test -run TestImages ./watcher/web/page
func TestImages(t *testing.T) {
	folder := os.Getenv("PUSHWATCH_IMAGES")
	if folder == "" {
		t.Skip("PUSHWATCH_IMAGES names no folder")
	}
	w := newWorld(t)
	w.anHour()
	w.story()
	for i := range 120 {
		w.happen(w.register(fmt.Sprintf("ghucnligqtgtvk%04db", i), time.Duration(i)*21*time.Second, map[string]string{"course": fmt.Sprintf("math-%d%c", i%6+1, 'a'+i%4), "room": fmt.Sprint(i)}),
			seen{kind: watcher.PushStarted, ago: time.Duration(i) * 20 * time.Second, window: time.Second, push: pushing(time.Hour, 0)})
	}
	tb := startChrome(t).browse(t, w)
	take := func(name, path string) {
		for _, width := range []int{1280, 390} {
			tb.size(width, 900)
			for _, theme := range []string{"light", "dark"} {
				tb.theme(theme)
				tb.goTo(path)
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), tb.picture(true), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	take("overview", "/")
	take("task", "/tasks/1400000001/math-3b")
	take("failed", "/tasks/1400000001/physics-2a")
	take("tasks", "/tasks")
	take("ended", "/tasks?state=ended")
	take("events", "/events")
	take("notifiers", "/notifiers")
	take("deliveries", "/deliveries")
	w.show(dark("school", 0, 4*time.Minute, true))
	take("blind", "/")
	slow := fine("college")
	slow.Granted, slow.Lap, slow.Overloaded = 12, 2*time.Minute, true
	w.show(dark("school", app, 3*time.Minute, true), slow)
	take("partly", "/")
}
