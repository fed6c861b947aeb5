package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// limitFiles limits the size of the files that a process writes. To the process 0 is a
// full disk: no file takes a byte more.
func limitFiles(t *testing.T, p *process, bytes uint64) {
	t.Helper()
	if err := unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
}

// registerPush asks a daemon to watch a push, and returns the status of the answer.
func registerPush(t *testing.T, address, id string) int {
	t.Helper()
	answer, err := http.Post("http://"+address+"/v1/tasks", "application/json", strings.NewReader(`{"sdk_app_id":1400000001,"task_id":"`+id+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// within10s waits until something is so, at most for the ten seconds in which a fault of the
// database must show.
func within10s(t *testing.T, p *process, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s it is not so that %s\n%s", what, p.log)
		}
	}
}

// databaseFailing reports whether the metrics say that the database refuses writes.
func databaseFailing(t *testing.T, address string) bool {
	t.Helper()
	text := fetch(t, address, "/metrics")
	failing := strings.Contains(text, "\npushwatch_database_failing 1\n")
	if !failing && !strings.Contains(text, "\npushwatch_database_failing 0\n") {
		t.Fatalf("no pushwatch_database_failing without an account in:\n%s", text)
	}
	return failing
}

// TestDatabaseFileGone removes or replaces the database's files under a daemon, as in
// better-sqlite3#1237, or takes them away for a while.
func TestDatabaseFileGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil  func(path string) error
		repair func(path string) error // nil: only a restart repairs it
	}{
		"removed": {spoil: func(path string) error {
			files, err := filepath.Glob(path + "*")
			for _, f := range files {
				err = os.Remove(f)
			}
			return err
		}},
		"replaced": {spoil: func(path string) error {
			if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}},
		"moved and moved back": {
			spoil:  func(path string) error { return os.Rename(path, path+".old") },
			repair: func(path string) error { return os.Rename(path+".old", path) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tiwsim.Config{}, notifytest.Config{})
			store := sqliteURL(t)
			path := strings.TrimPrefix(store, "sqlite:")
			p, address := s.serve(t, store)
			if got := registerPush(t, address, "before"); got != http.StatusCreated {
				t.Fatalf("POST /v1/tasks = %d, want %d", got, http.StatusCreated)
			}
			if err := test.spoil(path); err != nil {
				t.Fatal(err)
			}
			if got := registerPush(t, address, "after"); got != http.StatusServiceUnavailable {
				t.Errorf("POST /v1/tasks without the file = %d, want %d", got, http.StatusServiceUnavailable)
			}
			within10s(t, p, "/readyz is 503", func() bool { return readiness(address) == http.StatusServiceUnavailable })
			within10s(t, p, "the metric is 1", func() bool { return databaseFailing(t, address) })
			lines := p.logged("error", "database refuses writes")
			if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["hint"]), "restore a backup") {
				t.Errorf("logged %v, want one line with a hint\n%s", lines, p.log)
			}
			if test.repair == nil {
				return
			}
			if err := test.repair(path); err != nil {
				t.Fatal(err)
			}
			awaitReady(t, p, address)
			if got := registerPush(t, address, "after"); got != http.StatusCreated {
				t.Errorf("POST /v1/tasks with the file back = %d, want %d", got, http.StatusCreated)
			}
			if databaseFailing(t, address) {
				t.Error("the metric is still 1")
			}
		})
	}
}

// TestDatabaseFileGoneQuietly removes the file while nobody writes.
func TestDatabaseFileGoneQuietly(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	store := sqliteURL(t)
	p, address := s.serve(t, store)
	if err := os.Remove(strings.TrimPrefix(store, "sqlite:")); err != nil {
		t.Fatal(err)
	}
	within10s(t, p, "/readyz is 503", func() bool { return readiness(address) == http.StatusServiceUnavailable })
}

// TestFullDiskQuiet fills the disk of a daemon whose pushes do not change: only a
// registration finds out.
func TestFullDiskQuiet(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer service.Close()
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	s.settings += fmt.Sprintf("[heartbeat]\nurl = %q\nevery = \"1s\"\n", service.URL)
	p, address := s.serve(t, sqliteURL(t))
	within10s(t, p, "the heartbeat is called", func() bool { return calls.Load() > 0 })

	limitFiles(t, p, 0)
	if got := registerPush(t, address, "class"); got != http.StatusServiceUnavailable {
		t.Errorf("POST /v1/tasks with a full disk = %d, want %d", got, http.StatusServiceUnavailable)
	}
	within10s(t, p, "/readyz is 503", func() bool { return readiness(address) == http.StatusServiceUnavailable })
	within10s(t, p, "the metric is 1", func() bool { return databaseFailing(t, address) })
	time.Sleep(1500 * time.Millisecond) // a call under way
	before := calls.Load()
	for until := time.Now().Add(8 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if got := readiness(address); got != http.StatusServiceUnavailable {
			t.Fatalf("with a full disk /readyz = %d, want %d all the time\n%s", got, http.StatusServiceUnavailable, p.log)
		}
	}
	if got := calls.Load() - before; got > 0 {
		t.Errorf("the heartbeat was called %d times with a full disk, want 0", got)
	}

	limitFiles(t, p, unix.RLIM_INFINITY)
	awaitReady(t, p, address)
	if databaseFailing(t, address) {
		t.Error("there is room again, and the metric is still 1")
	}
	if got := registerPush(t, address, "class"); got != http.StatusCreated {
		t.Errorf("POST /v1/tasks with room again = %d, want %d", got, http.StatusCreated)
	}
	for level, message := range map[string]string{"error": "database refuses writes", "info": "database accepts writes again"} {
		if n := len(p.logged(level, message)); n != 1 {
			t.Errorf("logged %q %d times, want once\n%s", message, n, p.log)
		}
	}
	within10s(t, p, "the heartbeat is called again", func() bool { return calls.Load() > before })
}

// TestReadOnlyPostgres makes a database read-only under a daemon whose pushes do not
// change, as a failover to a standby does.
func TestReadOnlyPostgres(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	p, address := s.serve(t, url)
	setReadOnly(t, url, true)
	within10s(t, p, "/readyz is 503", func() bool { return readiness(address) == http.StatusServiceUnavailable })
	within10s(t, p, "the metric is 1", func() bool { return databaseFailing(t, address) })
	if n := len(p.logged("error", "database refuses writes")); n != 1 {
		t.Errorf("logged that the database refuses writes %d times, want once\n%s", n, p.log)
	}
	if got := registerPush(t, address, "class"); got != http.StatusServiceUnavailable {
		t.Errorf("POST /v1/tasks = %d, want %d", got, http.StatusServiceUnavailable)
	}
	setReadOnly(t, url, false)
	awaitReady(t, p, address)
	within10s(t, p, "the metric is 0", func() bool { return !databaseFailing(t, address) })
}

// setReadOnly sets what new transactions of a database are, and ends the connections
// that have begun with another setting.
func setReadOnly(t *testing.T, url string, readOnly bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{
		"SET default_transaction_read_only = off",
		fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = %t", conn.Config().Database, readOnly),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
