package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	crashRounds = 3
	crashTasks  = 40
	crashEnv    = "STORETEST_CRASH_URL" // set for the process that is to be killed
)

// The notifiers of the crash test: deliveries to the first are settled, those to the others
// stay pending.
var crashNotifiers = []string{"settled", "kept", "twin"}

// Crash repeatedly kills a process while it writes, and then checks that nothing is lost,
// duplicated or incomplete. The process is the test's own program, run again for the calling
// test only.
func Crash(t *testing.T, b Backend) {
	if url := os.Getenv(crashEnv); url != "" {
		crashChild(t, b, url)
		return
	}
	url := b.Fresh(t)
	seen := witness{versions: make(map[string]int64), settled: make(map[int64]bool)}
	for round := range crashRounds {
		seen.watch(t, url)
		seen.check(t, b, url)
		if t.Failed() {
			t.Fatalf("in round %d, with %d changes and %d settlements acknowledged", round, len(seen.versions), len(seen.settled))
		}
	}
	if len(seen.versions) < crashTasks/2 || len(seen.settled) == 0 {
		t.Errorf("changes of %d tasks and %d settlements were acknowledged, want some of each", len(seen.versions), len(seen.settled))
	}
}

// A witness records the writes that the killed processes acknowledged.
type witness struct {
	versions map[string]int64 // the last acknowledged, by task id
	settled  map[int64]bool
}

// watch starts a process, kills it at a random moment, and records what it acknowledged.
func (w *witness) watch(t *testing.T, url string) {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	child := exec.Command(program, "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	child.Env = append(os.Environ(), crashEnv+"="+url)
	stdout, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	hang := time.AfterFunc(time.Minute, func() { child.Process.Kill() }) // before it acknowledged anything
	defer hang.Stop()

	var other []string
	killing := false
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var id string
		var number int64
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "saved %s %d", &id, &number); n == 2 {
			w.versions[id] = number
		} else if n, _ := fmt.Sscanf(line, "settled %d", &number); n == 1 {
			w.settled[number] = true
		} else {
			other = append(other, line)
			continue
		}
		if !killing {
			killing = true
			time.AfterFunc(time.Duration(50+rand.IntN(300))*time.Millisecond, func() { child.Process.Kill() })
		}
	}
	if err := child.Wait(); !killing || child.ProcessState.Exited() {
		t.Fatalf("the process ended by itself: %v\n%s", err, strings.Join(other, "\n"))
	}
}

// check compares the database, read by the next owner, with what was acknowledged.
func (w *witness) check(t *testing.T, b Backend, url string) {
	t.Helper()
	db := b.Open(t, url)
	defer db.Close()
	a, err := db.Own(t.Context(), "school") // waits for a commit that is still under way
	must(t, err)
	sequences := make(map[string]int64)
	kept, twin := pages(t, a, "kept", 1000), pages(t, a, "twin", 1000)
	if len(kept) != len(twin) {
		t.Errorf("%d events go to one notifier, %d to the other", len(kept), len(twin))
	}
	for i, d := range kept {
		if i < len(twin) && twin[i].EventID != d.EventID {
			t.Errorf("event %s goes to one notifier, in its place %s to the other", d.EventID, twin[i].EventID)
		}
		var body struct{ Data watcher.TaskData }
		must(t, json.Unmarshal(d.Body, &body))
		sequences[d.Task.TaskID]++
		if body.Data.Sequence != sequences[d.Task.TaskID] {
			t.Errorf("event %s has number %d, want %d", d.EventID, body.Data.Sequence, sequences[d.Task.TaskID])
		}
	}
	for _, id := range ids(crashTasks) {
		x, err := db.Task(t.Context(), key(id))
		must(t, err)
		if x.Sequence != sequences[x.TaskID] {
			t.Errorf("task %s is at event %d, and has %d", x.TaskID, x.Sequence, sequences[x.TaskID])
		}
		if x.Version < w.versions[x.TaskID] {
			t.Errorf("task %s has version %d, but %d was acknowledged", x.TaskID, x.Version, w.versions[x.TaskID])
		}
	}
	open := pages(t, a, "settled", 1000)
	for _, d := range open {
		if w.settled[d.ID] {
			t.Errorf("delivery %d is pending, but was acknowledged as settled", d.ID)
		}
	}
	if len(open)+len(w.settled) > len(kept) {
		t.Errorf("%d deliveries are pending and %d settled, of %d events", len(open), len(w.settled), len(kept))
	}
}

// pages reads all that is pending for a notifier, in pages of a size.
func pages(t *testing.T, a Account, notifier string, size int) []notify.Delivery {
	t.Helper()
	var all []notify.Delivery
	for after := int64(0); ; after = all[len(all)-1].ID {
		page, err := a.Pending(t.Context(), notifier, after, size)
		must(t, err)
		all = append(all, page...)
		if len(page) < size {
			return all
		}
	}
}

// crashChild changes tasks and settles deliveries until it is killed. It prints a
// line for each write that has returned.
func crashChild(t *testing.T, b Backend, url string) {
	db := b.Open(t, url)
	a, err := db.Own(t.Context(), "school")
	must(t, err)
	due := make(chan notify.Delivery, 1<<20)
	enqueue := func(list []notify.Delivery) {
		for _, d := range list {
			if d.Notifier == "settled" {
				due <- d
			}
		}
	}
	a.Subscribe(enqueue)
	enqueue(pages(t, a, "settled", 1000))

	var work sync.WaitGroup
	work.Go(func() { t.Error("Run() =", a.Run(context.Background())) })
	var asked []watcher.Task
	for _, id := range ids(crashTasks) {
		asked = append(asked, task(id))
	}
	tasks, err := db.Register(t.Context(), asked, false)
	must(t, err)
	for _, registered := range tasks {
		work.Go(func() {
			for x := registered.Task; ; {
				kinds := []watcher.EventType{watcher.PushChanged, watcher.PushException}[:1+x.Version%2]
				c := change(x, crashNotifiers, kinds...)
				if err := a.Save(t.Context(), c); err != nil {
					panic(err)
				}
				x = c.Task
				fmt.Printf("saved %s %d\n", x.TaskID, x.Version)
			}
		})
	}
	for range 4 {
		work.Go(func() {
			for d := range due {
				if err := a.Settle(t.Context(), []notify.Outcome{outcome(d.ID, notify.Delivered, 1)}); err != nil {
					panic(err)
				}
				fmt.Printf("settled %d\n", d.ID)
			}
		})
	}
	work.Wait()
}
