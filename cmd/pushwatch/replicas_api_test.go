package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// TestReplicasServe asks of a replica that owns nothing what only the account's owner
// can do: register, change and remove tasks, poll, test, pause and resume a notifier,
// deliver again, tell of the account, and stream its events.
func TestReplicasServe(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{
		Tasks: []tiwsim.Life{{SDKAppID: 1400000001, TaskID: "class", PreparedFor: tiwsim.Duration(time.Nanosecond)}},
	}, notifytest.Config{})
	s.settings = `
watch.max_staleness = "1h"
watch.thrift = "1h" # polls are made where they are asked for, and hardly else
` + s.settings
	store := storetest.Postgres(t)
	owner, other := new(replica), new(replica)
	for _, r := range []*replica{owner, other} {
		r.process, r.address = s.serve(t, store)
	}
	var status fleetStatus
	within(t, "the account is owned by one of two", func() bool {
		var ok bool
		status, ok = other.status()
		return ok && len(status.Members) == 2 && len(status.Accounts) == 1
	})
	for _, m := range status.Members {
		if m.Self && len(m.Accounts) == 1 {
			owner, other = other, owner
		}
	}

	stream, err := http.Get("http://" + other.address + "/v1/events/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	streamed := make(chan string, 100)
	go func() {
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				streamed <- kind
			}
		}
	}()
	got := func(kind string) {
		t.Helper()
		select {
		case next := <-streamed:
			if next != kind {
				t.Errorf("streamed %s, want %s", next, kind)
			}
		case <-time.After(hang):
			t.Fatalf("%s was not streamed\n%s\n%s", kind, owner.log, other.log)
		}
	}
	const class = "/v1/tasks/1400000001/class"
	polls := func() int { return s.tiw.TaskStats(1400000001, "class").Polls }

	poll := func() {
		t.Helper()
		before := polls()
		within(t, "asked for elsewhere, it is polled", func() bool {
			other.ask(t, "POST", class+"/poll", "", 202) // once a second it is heard
			time.Sleep(100 * time.Millisecond)
			return polls() > before
		})
	}
	other.ask(t, "POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"class"}`, 201)
	poll()
	got("push.started")
	poll()
	other.ask(t, "PATCH", class, `{"labels":{"course":"math"}}`, 200)

	other.ask(t, "POST", "/v1/notifiers/classroom/pause", "", 204)
	within(t, "paused elsewhere, the notifier waits here", func() bool {
		return strings.Contains(owner.ask(t, "GET", "/v1/notifiers", "", 200), `"state":"paused"`)
	})
	test := other.ask(t, "POST", "/v1/notifiers/classroom/test", "", 202)
	got("webhook.test")
	other.ask(t, "POST", "/v1/notifiers/classroom/resume", "", 204)
	delivered := func(n int) func() bool {
		return func() bool { return len(s.receiver.Deliveries()) == n }
	}
	within(t, "resumed elsewhere, it is told "+test, delivered(2))
	other.ask(t, "POST", "/v1/deliveries/dlv_1_1/retry", "", 202)
	within(t, "asked for elsewhere, it is delivered again", delivered(3))

	other.ask(t, "DELETE", class, "", 204)
	other.ask(t, "POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"class"}`, 201)
	poll()
	got("push.started")
	if n := strings.Count(owner.log.String(), `"watching account"`); n != 1 {
		t.Errorf("the account was loaded %d times, want once", n)
	}

	owner.stop(t, 15)
	within(t, "left, it is not among the members", func() bool {
		s, ok := other.status()
		return ok && len(s.Members) == 1 && len(s.Members[0].Accounts) == 1
	})
}

// ask sends a request to a replica and returns the answer.
func (r *replica) ask(t *testing.T, method, path, body string, want int) string {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+r.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		t.Fatalf("%s %s = %s %s, %v, want %d", method, path, answer.Status, text, err, want)
	}
	return string(text)
}

// within waits until something is so.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so that %s", what)
		}
	}
}
