package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// serve returns the API over a watcher with a database of its own, which owns no
// account: what is registered waits.
func serve(t testing.TB, tokens ...Token) http.Handler {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	registry := prometheus.NewRegistry()
	dispatcher := notify.New(notify.Config{Instance: "test", Archive: db, Notifiers: []notify.Notifier{{Name: "log", Type: "log", Filter: notify.Filter{Events: []string{"*"}}}}})
	tasks := engine.New(engine.Config{
		Registry: db, Metrics: registry,
		Settings: engine.Settings{Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{1400000001, 1400000002}}}},
	})
	return New(Config{
		Tasks: tasks, Callbacks: tasks,
		Dispatcher: dispatcher, Events: db, Tokens: tokens, Metrics: registry,
		Alive: func() error { return nil }, Ready: func(context.Context) error { return nil },
	})
}

// ask sends a request and returns the answer. The header is "Name: value" lines.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	return send(h, httptest.NewRequest(method, path, strings.NewReader(body)), body, header...)
}

func send(h http.Handler, r *http.Request, body string, header ...string) *httptest.ResponseRecorder {
	r.Host = "localhost"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRegister(t *testing.T) {
	h := serve(t)
	const body = `{"sdk_app_id":1400000001,"task_id":"class-1","expected_stop_at":"2026-11-22T19:00:00+08:00","labels":{"course":"math-3b"}}`
	w := ask(h, "POST", "/v1/tasks", body)
	if w.Code != http.StatusCreated {
		t.Fatalf("POST = %d %s, want 201", w.Code, w.Body)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["registered_at"] == nil {
		t.Error("registered_at is null")
	}
	delete(got, "registered_at")
	text, _ := json.Marshal(got)
	const want = `{"account":"school","blind_since":null,"ended_at":null,"error":null,"expected_stop_at":"2026-11-22T11:00:00Z","labels":{"course":"math-3b"},"last_observed_at":null,"last_polled_at":null,"next_poll_at":null,"poll_error":null,"push":null,"sdk_app_id":1400000001,"sequence":0,"state":"registered","task_id":"class-1"}`
	if string(text) != want {
		t.Errorf("task\n got %s\nwant %s", text, want)
	}
	if w := ask(h, "POST", "/v1/tasks", body); w.Code != http.StatusOK {
		t.Errorf("POST again = %d %s, want 200", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/v1/tasks/1400000001/class-1", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"task_id":"class-1"`) {
		t.Errorf("GET = %d %s, want the task", w.Code, w.Body)
	}
	if w := ask(h, "DELETE", "/v1/tasks/1400000001/class-1", ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("DELETE = %d %s, want 204", w.Code, w.Body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if w := ask(h, method, "/v1/tasks/1400000001/class-1", ""); w.Code != http.StatusNotFound {
			t.Errorf("%s after DELETE = %d %s, want 404", method, w.Code, w.Body)
		}
	}
	if w := ask(h, "POST", "/v1/tasks", body); w.Code != http.StatusCreated {
		t.Errorf("POST after DELETE = %d %s, want 201", w.Code, w.Body)
	}
}

func TestBatch(t *testing.T) {
	h := serve(t)
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{batch(0, 10), 200, `{"created":10,"existing":0}`},
		{batch(0, 12), 200, `{"created":2,"existing":10}`},
		{batch(0, 10000), 200, `{"created":9988,"existing":12}`},
		{batch(0, 10001), 422, `tasks`},
		{batch(0, 10) + strings.Repeat(" ", 15<<20), 200, `{"created":0,"existing":10}`},
		{batch(0, 10) + strings.Repeat(" ", 16<<20), 413, `too large`},
		{`{"tasks":[]}`, 422, `tasks`},
		{`{"tasks":[{"sdk_app_id":1400000001,"task_id":"new"},{"sdk_app_id":7,"task_id":"b"}]}`, 422, `body.tasks[1].sdk_app_id`},
	} {
		w := ask(h, "POST", "/v1/tasks/batch", c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("batch %.60s = %d %.300s, want %d with %s", c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	if w := ask(h, "GET", "/v1/tasks/1400000001/new", ""); w.Code != http.StatusNotFound {
		t.Errorf("a task of a faulty batch = %d, want 404: all or nothing", w.Code)
	}
}

// TestPages reads all tasks page by page while others come and go.
func TestPages(t *testing.T) {
	h := serve(t)
	register := func(app int, id, labels string) {
		if w := ask(h, "POST", "/v1/tasks", fmt.Sprintf(`{"sdk_app_id":%d,"task_id":%q,"labels":%s}`, app, id, labels)); w.Code != http.StatusCreated {
			t.Fatalf("POST %s = %d %s", id, w.Code, w.Body)
		}
	}
	for i := range 95 {
		register(1400000001+i%2, fmt.Sprintf("class-%02d", i), fmt.Sprintf(`{"course":"c%d"}`, i%5))
	}
	read := func(query string) map[string]int {
		seen := make(map[string]int)
		cursor := ""
		for page := 0; ; page++ {
			w := ask(h, "GET", "/v1/tasks?limit=10"+query+"&cursor="+cursor, "")
			var got struct {
				Tasks []struct {
					TaskID string `json:"task_id"`
				} `json:"tasks"`
				NextCursor string `json:"next_cursor"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("page %d = %d %s", page, w.Code, w.Body)
			}
			for _, task := range got.Tasks {
				seen[task.TaskID]++
			}
			if page == 2 && query == "" {
				register(1400000001, "aaa", `{}`)
				ask(h, "DELETE", "/v1/tasks/1400000001/class-00", "")
			}
			if cursor = got.NextCursor; cursor == "" {
				return seen
			}
		}
	}
	seen := read("")
	for i := range 95 {
		if n := seen[fmt.Sprintf("class-%02d", i)]; n != 1 {
			t.Errorf("class-%02d was listed %d times, want once", i, n)
		}
	}
	for query, want := range map[string]int{"&sdk_app_id=1400000002": 47, "&label=course:c1": 19, "&label=course:c1&label=x:y": 0, "&state=pushing": 0, "&state=registered": 95} {
		if got := len(read(query)); got != want {
			t.Errorf("%s: %d tasks, want %d", query, got, want)
		}
	}
}

func TestTokens(t *testing.T) {
	h := serve(t, NewToken("backend", "write-write-write", Write), NewToken("page", "read-read-read-read", Read))
	const body = `{"sdk_app_id":1400000001,"task_id":"a"}`
	for _, c := range []struct {
		method, path, header string
		status               int
	}{
		{"GET", "/healthz", "", 200},
		{"GET", "/readyz", "", 200},
		{"GET", "/metrics", "", 401},
		{"GET", "/openapi.json", "", 401},
		{"GET", "/v1/tasks", "", 401},
		{"GET", "/v1/nothing", "", 401},
		{"GET", "/v1/tasks", "Authorization: Bearer wrong", 401},
		{"GET", "/v1/tasks", "Authorization: Bearer ", 401},
		{"GET", "/v1/tasks", "Authorization: Basic write-write-write", 401},
		{"GET", "/v1/tasks", "Authorization: bearer read-read-read-read", 200},
		{"GET", "/metrics", "Authorization: Bearer read-read-read-read", 200},
		{"POST", "/v1/tasks", "Authorization: Bearer read-read-read-read", 403},
		{"POST", "/v1/tasks", "Authorization: Bearer write-write-write", 201},
		{"DELETE", "/v1/tasks/1400000001/a", "Authorization: Bearer read-read-read-read", 403},
		{"DELETE", "/v1/tasks/1400000001/a", "Authorization: Bearer write-write-write", 204},
		{"POST", "/tasks", "Authorization: Bearer write-write-write", 404}, // the page has this path, but takes no tokens
	} {
		sent := ""
		if c.method == "POST" {
			sent = body
		}
		if w := ask(h, c.method, c.path, sent, c.header); w.Code != c.status {
			t.Errorf("%s %s with %q = %d %s, want %d", c.method, c.path, c.header, w.Code, w.Body, c.status)
		}
	}
}

func TestHealth(t *testing.T) {
	sick := errors.New("account school: its polling has been stuck for 1m")
	h := New(Config{
		Tasks: nil, Metrics: prometheus.NewRegistry(),
		Alive: func() error { return sick }, Ready: func(context.Context) error { return sick },
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := ask(h, "GET", path, ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), sick.Error()) {
			t.Errorf("GET %s = %d %s, want 503 and why", path, w.Code, w.Body)
		}
	}
}

// TestUnreadableMetric holds that a metric that cannot be read hides no other, and is
// logged.
func TestUnreadableMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		prometheus.NewCounter(prometheus.CounterOpts{Name: "good_total"}),
		unreadable{prometheus.NewDesc("bad", "", nil, nil)},
	)
	core, logs := observer.New(zap.ErrorLevel)
	h := New(Config{Metrics: registry, Log: zap.New(core)})
	if w := ask(h, "GET", "/metrics", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "good_total 0") {
		t.Errorf("GET /metrics = %d %s, want good_total", w.Code, w.Body)
	}
	if logs.Len() != 1 || !strings.Contains(fmt.Sprint(logs.All()[0].ContextMap()), "the sensor is gone") {
		t.Errorf("log = %v, want the cause", logs.All())
	}
}

// unreadable is a metric without a value.
type unreadable struct{ desc *prometheus.Desc }

func (u unreadable) Describe(ch chan<- *prometheus.Desc) { ch <- u.desc }
func (u unreadable) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(u.desc, errors.New("the sensor is gone"))
}

// broken fails as a database does that has gone away.
type broken struct{ embedded }

type embedded interface{ Tasks }

func (broken) Register(context.Context, []watcher.Registration, bool) ([]engine.Registered, error) {
	return nil, errors.New("dial postgres://user:hush@host: refused")
}

func TestDatabaseAway(t *testing.T) {
	h := New(Config{Tasks: broken{}, Metrics: prometheus.NewRegistry()})
	w := ask(h, "POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a"}`)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "hush") {
		t.Errorf("POST = %d %s, want 503 without the cause", w.Code, w.Body)
	}
}

func TestAmend(t *testing.T) {
	h := serve(t)
	const path = "/v1/tasks/1400000001/a"
	ask(h, "POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","expected_stop_at":"2026-11-22T19:00:00Z","labels":{"course":"math-3b"}}`)
	for _, c := range []struct{ body, labels, stop string }{
		{`{}`, `"labels":{"course":"math-3b"}`, `"expected_stop_at":"2026-11-22T19:00:00Z"`},
		{`{"labels":{"room":"7"}}`, `"labels":{"room":"7"}`, `"expected_stop_at":"2026-11-22T19:00:00Z"`},
		{`{"expected_stop_at":"2026-11-22T20:00:00+01:00"}`, `"labels":{"room":"7"}`, `"expected_stop_at":"2026-11-22T19:00:00Z"`},
		{`{"expected_stop_at":null}`, `"labels":{"room":"7"}`, `"expected_stop_at":null`},
		{`{"labels":null}`, `"labels":{}`, `"expected_stop_at":null`},
	} {
		for _, w := range []*httptest.ResponseRecorder{ask(h, "PATCH", path, c.body), ask(h, "GET", path, "")} {
			if got := w.Body.String(); w.Code != 200 || !strings.Contains(got, c.labels) || !strings.Contains(got, c.stop) {
				t.Errorf("PATCH %s = %d %s, want %s and %s", c.body, w.Code, got, c.labels, c.stop)
			}
		}
	}
	if w := ask(h, "POST", path+"/poll", ""); w.Code != http.StatusAccepted || w.Body.Len() > 0 {
		t.Errorf("POST poll = %d %s, want 202", w.Code, w.Body)
	}
}

func TestNotifiersAndStatus(t *testing.T) {
	h := serve(t)
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/v1/notifiers", 200, `{"notifiers":[{"name":"log","type":"log","url":"","state":"active","paused_until":null,"next_probe_at":null,"pending":0,"oldest_pending_seconds":0,"dead":0,"last_error":""}]}`},
		{"POST", "/v1/notifiers/log/pause", 204, ""},
		{"GET", "/v1/notifiers", 200, `"state":"paused"`},
		{"POST", "/v1/notifiers/log/resume", 204, ""},
		{"GET", "/v1/status", 200, `"notifiers":[{"name":"log","type":"log","url":"","state":"active"`},
		{"GET", "/v1/deliveries", 200, `{"deliveries":[],"next_cursor":""}`},
		{"POST", "/v1/notifiers/log/test", 503, "no process owns an account"},
	} {
		if w := ask(h, c.method, c.path, ""); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s = %d %s, want %d with %s", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
	}
}

// TestPageOrProblem holds that what was meant for the API is never answered with a way
// to sign in, or with a page, and that a browser always is.
func TestPageOrProblem(t *testing.T) {
	open, closed := serve(t), serve(t, NewToken("backend", "write-write-write", Write))
	const html, problem = "text/html; charset=utf-8", "application/problem+json"
	const browser, form = "Accept: text/html,*/*;q=0.8", "Content-Type: application/x-www-form-urlencoded"
	for _, c := range []struct {
		h            http.Handler
		method, path string
		header       []string
		status       int
		kind         string // of the answer; empty: it leads to the sign-in
	}{
		{closed, "POST", "/tasks", nil, 401, problem},
		{closed, "POST", "/tasks", []string{"Accept: text/html, */*"}, 401, problem}, // as Java's own client asks
		{closed, "POST", "/tasks", []string{form}, 401, problem},                     // as curl sends what it is given
		{closed, "POST", "/tasks/1400000001/a/poll", []string{browser, form}, 303, ""},
		{closed, "DELETE", "/tasks/1400000001/a", nil, 401, problem},
		{closed, "GET", "/tasks", nil, 401, problem},
		{closed, "GET", "/tasks", []string{"Accept: application/json"}, 401, problem},
		{closed, "GET", "/tasks", []string{browser}, 303, ""},
		{closed, "GET", "/", []string{browser}, 303, ""},
		{closed, "GET", "/assets/nothing", nil, 404, html},
		{open, "POST", "/tasks", nil, 404, problem},
		{open, "POST", "/tasks", []string{browser, form}, 422, html}, // the form of the page, with a fault
		{open, "GET", "/tasks", nil, 200, html},
		{open, "GET", "/assets/nothing", nil, 404, html},
	} {
		w := ask(c.h, c.method, c.path, `{"task_id":"a"}`, c.header...)
		led := w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/signin")
		if got := w.Header().Get("Content-Type"); w.Code != c.status || led != (c.kind == "") || !led && got != c.kind {
			t.Errorf("%s %s %q = %d %s, want %d %s", c.method, c.path, c.header, w.Code, got, c.status, c.kind)
		}
	}
}

// TestHost holds that without tokens only who names this machine is answered.
func TestHost(t *testing.T) {
	open, closed := serve(t), serve(t, NewToken("backend", "write-write-write", Write))
	for host, want := range map[string]int{"localhost": 200, "LOCALHOST:8465": 200, "127.0.0.1:8465": 200, "[::1]:8465": 200, "[::1]": 200, "rebound.example": 421, "localhost.rebound.example:8465": 421, "": 421,
		"localhost:": 421, "localhost:x": 421, "localhost:65536": 421, "localhost:80:80": 421, "::1": 421, "[127.0.0.1]": 421, "[::1": 421, "]::1[": 421, "[[::1]]:80": 421, "127.0.0.1:": 421, "127.0.0.1:x": 421, "[::1%25lo]:80": 421, "[::1%lo]": 421, "127.0.0.1.": 421, "0x7f.1": 421, "127.1": 421, "user@127.0.0.1": 421} {
		if w := ask(open, "GET", "/v1/tasks", "", "Host: "+host); w.Code != want {
			t.Errorf("Host %q = %d, want %d", host, w.Code, want)
		}
	}
	if w := ask(closed, "GET", "/v1/tasks", "", "Host: pushwatch.example", "Authorization: Bearer write-write-write"); w.Code != 200 {
		t.Errorf("Host pushwatch.example with a token = %d, want 200", w.Code)
	}
}
