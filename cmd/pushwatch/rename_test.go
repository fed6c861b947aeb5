package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// TestRename renames an account over a restart of the daemon: its pushes are still watched,
// and what was pending is delivered.
func TestRename(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { rename(t, sqliteURL(t), true) })
	t.Run("postgres", func(t *testing.T) { rename(t, storetest.Postgres(t), false) })
}

func rename(t *testing.T, store string, backlog bool) {
	t.Parallel()
	const pushes = 20
	life := tiwsim.Life{SDKAppID: 1400000001, TaskID: "class-{n}", Count: pushes, PreparedFor: tiwsim.Duration(time.Nanosecond), PushingFor: tiwsim.Duration(12 * time.Second)}
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{life}}, notifytest.Config{})
	healthy := s.settings
	s.settings = strings.Replace(healthy, s.webhook, "http://127.0.0.1:1", 1) // nobody is there
	if !backlog {
		s.settings = healthy
	}
	s.settings += taskTables(life)
	p, address := s.serve(t, store)
	for deadline := time.Now().Add(hang); strings.Count(p.log.String(), `"type":"push.started"`) < pushes; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the pushes are not seen:\n%s", p.log)
		}
	}
	if !backlog {
		awaitEvents(t, p, s.receiver, pushes)
	}
	p.Process.Signal(os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}

	s.settings = strings.Replace(healthy, `name = "school"`, `name = "academy"`, 1)
	p = launch(t, "serve", "--config", s.file(t, address, store))
	awaitReady(t, p, address)
	awaitEvents(t, p, s.receiver, 2*pushes) // each start and each stop
	if want := `"account":"school","tasks":20`; !strings.Contains(p.log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, p.log)
	}
	if summary, err := s.receiver.Check(); err != nil || summary.Events != 2*pushes {
		t.Errorf("%d events, %v, want %d", summary.Events, err, 2*pushes)
	}
}
