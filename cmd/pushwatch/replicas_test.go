package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
)

const (
	replicas        = 3
	replicaAccounts = 30
	replicaTasks    = 10 // of an account
	replicaLimit    = 4  // requests a second of an account: fewer than its tasks could use
	replicaTakeover = 2 * time.Second
)

// A fleet is some replicas over one database, and what they watch and tell.
type fleet struct {
	*scene
	t        *testing.T
	postgres *storetest.PostgresServer
	replicas [replicas]*replica
}

// A replica is a place for one process after the other.
type replica struct {
	*process
	address, file string
	logs          strings.Builder // of the processes before
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{scene: changingScene(t, replicaAccounts, replicaTasks, notifytest.Config{}), t: t, postgres: storetest.NewPostgres(t)}
	f.settings = strings.ReplaceAll(f.settings, "endpoint =", fmt.Sprintf("requests_per_second = %d\nendpoint =", replicaLimit))
	f.settings = strings.Replace(f.settings, `takeover_after = "1s"`, fmt.Sprintf("takeover_after = %q", replicaTakeover), 1)
	for i := range f.replicas {
		address := tcptest.Unused(t)
		f.replicas[i] = &replica{address: address, file: f.file(t, address, f.postgres.URL)}
	}
	return f
}

// start starts a replica's next process.
func (f *fleet) start(r *replica) {
	if r.process != nil {
		r.logs.WriteString(r.log.String())
	}
	r.process = launch(f.t, "serve", "--config", r.file)
}

// stop ends a replica's process.
func (r *replica) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	r.Process.Signal(sig)
	err := r.Wait()
	if sig == syscall.SIGTERM && err != nil {
		t.Errorf("a replica that was told to stop: %v\n%s", err, r.log)
	}
}

// String is all that the replicas have printed.
func (f *fleet) String() string {
	var text strings.Builder
	for i, r := range f.replicas {
		fmt.Fprintf(&text, "== replica %d\n%s%s", i+1, r.logs.String(), r.log)
	}
	return text.String()
}

// fleetStatus is what of a status shows who owns what.
type fleetStatus struct {
	Accounts []struct{ Name, Member string }
	Members  []struct {
		Name       string
		Live, Self bool
		Accounts   []string
	}
}

// status asks a replica; it is false where that does not answer.
func (r *replica) status() (s fleetStatus, ok bool) {
	answer, err := http.Get("http://" + r.address + "/v1/status")
	if err != nil {
		return s, false
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s) == nil && answer.StatusCode == http.StatusOK
}

// await waits until a replica sees so many live members, and every account owned by
// one of them, by none more than its part. It logs how long after start that was.
func (f *fleet) await(r *replica, live int, what string, start time.Time) {
	f.t.Helper()
	var last fleetStatus
	for time.Since(start) < hang {
		s, ok := r.status()
		if ok {
			last = s
		}
		members, owned, most := 0, 0, 0
		for _, m := range s.Members {
			if m.Live {
				members++
				owned += len(m.Accounts)
				most = max(most, len(m.Accounts))
			}
		}
		if members == live && owned == replicaAccounts && most <= (replicaAccounts+live-1)/live {
			f.t.Logf("%s after %s", what, time.Since(start).Round(time.Millisecond))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	f.t.Fatalf("the accounts are not shared among %d members: %+v\n%s", live, last, f)
}

// TestReplicas has three replicas share 30 accounts while their 300 pushes change,
// and kills, stops and freezes them, has the database crash, and cuts connections.
// Every fact is told once, in order, within the limit of all together; a reader of
// the events, at whatever replica answers, gets each once.
func TestReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, r := range f.replicas {
		f.start(r)
	}
	f.await(f.replicas[0], replicas, "shared among all", time.Now())
	reader := f.read()

	for round, r := range []int{0, 1, 2, 0, 1, 2, 0, 1} {
		victim, other := f.replicas[r], f.replicas[(r+1)%replicas]
		start := time.Now()
		switch round % 4 {
		case 0:
			victim.stop(t, syscall.SIGKILL)
			f.await(other, replicas-1, "kill -9: taken over", start)
			f.start(victim)
		case 1:
			victim.stop(t, syscall.SIGTERM)
			f.await(other, replicas-1, "SIGTERM: taken over", start)
			f.start(victim)
		case 2:
			victim.Process.Signal(syscall.SIGSTOP)
			f.await(other, replicas-1, "frozen: taken over", start)
			time.Sleep(2 * time.Second)
			victim.Process.Signal(syscall.SIGCONT)
		case 3:
			f.postgres.Crash(t)
			f.postgres.Start(t)
			f.cut()
			t.Logf("database back after %s", time.Since(start).Round(time.Millisecond))
		}
		f.await(other, replicas, "shared again", time.Now())
		f.cut()
	}
	t.Log(checkTruth(t, f.scene, replicaLimit, f))
	reader.check(f)
	for _, r := range f.replicas {
		r.stop(t, syscall.SIGTERM)
	}
	for _, fault := range []string{"panic", "DATA RACE"} {
		if strings.Contains(f.String(), fault) {
			t.Errorf("%s in a log:\n%s", fault, f)
		}
	}
}

// cut closes about half of the connections to the database, as an operator or a
// failing network may.
func (f *fleet) cut() {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.postgres.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	_, err = conn.Exec(f.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5`)
	if err != nil {
		f.t.Fatal(err)
	}
}

// A reader has read the events by their cursors, page by page, each from a replica
// that answers.
type reader struct {
	stop chan struct{}
	life sync.WaitGroup
	ids  []string
}

func (f *fleet) read() *reader {
	r := &reader{stop: make(chan struct{})}
	r.life.Go(func() {
		client := http.Client{Timeout: 2 * time.Second} // a frozen one does not answer
		for cursor, last := "", false; ; {
			select {
			case <-r.stop:
				last = true
			case <-time.After(50 * time.Millisecond):
			}
			answer, err := client.Get("http://" + f.replicas[rand.IntN(replicas)].address + "/v1/events?limit=20&after=" + url.QueryEscape(cursor))
			if err != nil {
				continue
			}
			var page struct {
				Events []struct{ ID string }
				Cursor string
			}
			err = json.NewDecoder(answer.Body).Decode(&page)
			answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusOK {
				continue
			}
			cursor = page.Cursor
			for _, e := range page.Events {
				r.ids = append(r.ids, e.ID)
			}
			if last && len(page.Events) == 0 {
				return
			}
		}
	})
	return r
}

// check holds what was read against what was delivered.
func (r *reader) check(f *fleet) {
	f.t.Helper()
	close(r.stop)
	r.life.Wait()
	read := make(map[string]bool)
	for _, id := range r.ids {
		if read[id] {
			f.t.Errorf("event %s was read twice", id)
		}
		read[id] = true
	}
	for _, d := range f.receiver.Deliveries() {
		if !read[d.ID] {
			f.t.Errorf("event %s was delivered and not read", d.ID)
		}
	}
	if len(read) < replicaAccounts*replicaTasks {
		f.t.Errorf("%d events were read, want some of each push", len(read))
	}
}
