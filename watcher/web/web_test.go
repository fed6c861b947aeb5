package web

import (
	"bytes"
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

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/sqlstore"
)

// serve returns the API over a watcher with a database of its own, which owns no
// account: what is registered waits.
func serve(t *testing.T, tokens ...Token) http.Handler {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	registry := prometheus.NewRegistry()
	dispatcher := notify.New(notify.Config{Instance: "test", Archive: db, Notifiers: []notify.Notifier{{Name: "log", Type: "log", Filter: notify.Filter{Events: []string{"*"}}}}})
	return New(Config{
		Tasks: watcher.New(watcher.Config{
			Registry: db, Metrics: registry,
			Accounts: []watcher.AccountConfig{{Name: "school", SDKAppIDs: []int64{1400000001, 1400000002}}},
		}),
		Deliveries: dispatcher, Notifiers: dispatcher, Events: db, Tokens: tokens, Metrics: registry,
		Alive: func() error { return nil }, Ready: func(context.Context) error { return nil },
	})
}

// ask sends a request and returns the answer. The header is "Name: value" lines.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
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
	const want = `{"account":"school","ended_at":null,"error":null,"expected_stop_at":"2026-11-22T11:00:00Z","labels":{"course":"math-3b"},"last_observed_at":null,"next_poll_at":null,"push":null,"sdk_app_id":1400000001,"sequence":0,"state":"registered","task_id":"class-1"}`
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
	batch := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"tasks":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"sdk_app_id":1400000001,"task_id":"class-%d"}`, i)
		}
		return b.String() + `]}`
	}
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{batch(10), 200, `{"created":10,"existing":0}`},
		{batch(12), 200, `{"created":2,"existing":10}`},
		{batch(10000), 200, `{"created":9988,"existing":12}`},
		{batch(10001), 422, `tasks`},
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

// TestFaultyRequests holds that whatever is wrong is answered with a problem
// detail that names it.
func TestFaultyRequests(t *testing.T) {
	h := serve(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/nothing", "", 404, "/openapi.json"},
		{"GET", "/", "", 404, "/openapi.json"},
		{"PUT", "/v1/tasks", "{}", 405, "GET, HEAD, POST"},
		{"POST", "/v1/tasks", "", 400, "body"},
		{"POST", "/v1/tasks", "{", 400, "body"},
		{"POST", "/v1/tasks", "[]", 422, "object"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1400000001}`, 422, "task_id"},
		{"POST", "/v1/tasks", `{"task_id":"a"}`, 422, "body.sdk_app_id"},
		{"POST", "/v1/tasks", `{"sdk_app_id":"1400000001","task_id":"a"}`, 422, "body.sdk_app_id"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1,"task_id":"a"}`, 422, "one of the configured applications: [1400000001 1400000002]"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a b"}`, 422, "body.task_id"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","lables":{}}`, 422, "lables"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"A":"x"}}`, 422, "body.labels"},
		{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","expected_stop_at":"soon"}`, 422, "expected_stop_at"},
		{"POST", "/v1/tasks", `{"task_id":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "body"},
		{"GET", "/v1/tasks/x/a", "", 422, "sdk_app_id"},
		{"GET", "/v1/tasks/1400000001/a%20b", "", 422, "task_id"},
		{"GET", "/v1/tasks/1400000001/none", "", 404, "no such task"},
		{"GET", "/v1/tasks?limit=0", "", 422, "limit"},
		{"GET", "/v1/tasks?limit=1001", "", 422, "limit"},
		{"GET", "/v1/tasks?state=asleep", "", 422, "state"},
		{"GET", "/v1/tasks?cursor=%21", "", 422, "query.cursor"},
		{"GET", "/v1/tasks?cursor=YS9i", "", 422, "query.cursor"},
		{"GET", "/v1/tasks?label=course", "", 422, "query.label"},
	} {
		w := ask(h, c.method, c.path, c.body)
		if got := w.Header().Get("Content-Type"); w.Code != c.status || got != "application/problem+json" || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %.80s = %d %s %.300s, want %d with %s", c.method, c.path, c.body, w.Code, got, w.Body, c.status, c.want)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: not JSON: %s", c.method, c.path, w.Body)
		}
	}
	w := ask(h, "POST", "/v1/tasks", `{}`, "Content-Type: text/plain")
	if w.Code != http.StatusUnsupportedMediaType || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("POST of text/plain = %d %s, want 415", w.Code, w.Body)
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

// broken fails as a database does that has gone away.
type broken struct{ embedded }

type embedded interface{ Tasks }

func (broken) Register(context.Context, []watcher.Registration, bool) ([]watcher.TaskView, []bool, error) {
	return nil, nil, errors.New("dial postgres://user:hush@host: refused")
}

func TestDatabaseAway(t *testing.T) {
	h := New(Config{Tasks: broken{}, Metrics: prometheus.NewRegistry()})
	w := ask(h, "POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a"}`)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "hush") {
		t.Errorf("POST = %d %s, want 503 without the cause", w.Code, w.Body)
	}
}

// TestOpenAPI holds that the description is there, is of the version that is
// promised, and names every path.
func TestOpenAPI(t *testing.T) {
	w := ask(serve(t), "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi = %s, want 3.1", doc.OpenAPI)
	}
	for _, path := range []string{"/v1/tasks", "/v1/tasks/batch", "/v1/tasks/{sdk_app_id}/{task_id}"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
}
