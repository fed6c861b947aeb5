package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/api"
)

// TestBodiesWithoutToken sends a header and no body: who has no token is told so at once.
func TestBodiesWithoutToken(t *testing.T) {
	_, address := limited(t, healthy(Config{Tokens: []Token{NewToken("backend", "write-write-write", Write)}}), 10, 10)
	for _, c := range []struct {
		path   string
		length int
		status int
	}{
		{"/v1/tasks", 1000, http.StatusUnauthorized},
		{"/v1/tasks/batch", 16 << 20, http.StatusUnauthorized},
		{"/v1/tasks/1400000001/a/poll", 1000, http.StatusUnauthorized},
		{"/healthz", 1000, http.StatusMethodNotAllowed},
		{"/v1/callbacks/tiw/x", 1000, http.StatusNotFound},
		{"/v1/callbacks/tiw/1400000001", maxCallback + 1, http.StatusRequestEntityTooLarge},
		{"/signin", maxForm + 1, http.StatusRequestEntityTooLarge},
		{"/preferences", maxForm + 1, http.StatusRequestEntityTooLarge},
		{"/tasks/1400000001/a/poll", 1000, http.StatusSeeOther},
	} {
		conn := dialFrom(t, "127.0.0.1", address, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", c.path, c.length))
		conn.SetDeadline(time.Now().Add(3 * time.Second))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("POST %s: %v, want an answer before the body", c.path, err)
		} else if answer.StatusCode != c.status {
			t.Errorf("POST %s = %s, want %d", c.path, answer.Status, c.status)
		}
	}
}

// TestBodyBudget holds that bodies which are read at once have no more memory than their
// budget, that one too many is refused for now, and that what ended gives its memory back.
func TestBodyBudget(t *testing.T) {
	b := newBodies()
	b.other.budget = newBudget(100 << 10)
	release := make(chan struct{})
	s := httptest.NewServer(b.read(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		<-release
	})))
	defer s.Close()
	post := func(size int) *http.Response {
		t.Helper()
		answer, err := http.Post(s.URL+"/v1/tasks", "application/json", strings.NewReader(`"`+strings.Repeat("x", size-2)+`"`))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		return answer
	}
	held := make(chan int)
	go func() { held <- post(60 << 10).StatusCode }()
	for deadline := time.Now().Add(5 * time.Second); b.other.budget.free.Load() > 50<<10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the first body was not read")
		}
	}
	if answer := post(60 << 10); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a body beyond the budget = %s %v, want 503 and Retry-After", answer.Status, answer.Header)
	}
	close(release)
	if status := <-held; status != http.StatusOK {
		t.Errorf("the body before = %d, want 200", status)
	}
	if answer := post(60 << 10); answer.StatusCode != http.StatusOK {
		t.Errorf("a body afterwards = %s, want 200", answer.Status)
	}
	for deadline := time.Now().Add(5 * time.Second); b.other.budget.free.Load() != 100<<10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are free, want all that were taken back", b.other.budget.free.Load())
		}
	}
}

// TestUnfinishedBodies sends what the report of an attack had: 1,900 callbacks of 1 MB, all
// unfinished. They are too large by their length. So are, at 64 kB, more than the budget.
func TestUnfinishedBodies(t *testing.T) {
	h := healthy(Config{Callbacks: &hints{}})
	_, address := limited(t, h, maxConnections, maxConnections)
	header := func(length int) string {
		return fmt.Sprintf("POST /v1/callbacks/tiw/1400000001 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", length)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	statuses := make(map[int]int)
	for i := range 400 {
		size := 1 << 20
		if i%2 == 0 {
			size = maxCallback
		}
		c := dialFrom(t, "127.0.0.1", address, header(size))
		io.WriteString(c, strings.Repeat("x", min(size, maxCallback)-1))
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			statuses[answer.StatusCode]++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&during)
	if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > publicBudget+(20<<20) {
		t.Errorf("the heap has grown by %d MB for bodies without a token, want little more than %d", grown>>20, publicBudget>>20)
	}
	if statuses[http.StatusRequestEntityTooLarge] < 150 || statuses[http.StatusServiceUnavailable] < 20 {
		t.Errorf("answers = %v, want 413 for the large ones and 503 for those beyond the budget", statuses)
	}
}

// TestStalledBody holds that a body which stops arriving is cut.
func TestStalledBody(t *testing.T) {
	b := newBodies()
	b.other.within = 200 * time.Millisecond
	s := httptest.NewServer(b.read(http.NotFoundHandler()))
	defer s.Close()
	c := dialFrom(t, "127.0.0.1", s.Listener.Addr().String(), "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
	c.SetDeadline(time.Now().Add(3 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestTimeout || !answer.Close {
		t.Errorf("answer = %v, %v, want 408 and the connection closed", answer, err)
	}
	if free := b.other.budget.free.Load(); free != otherBudget {
		t.Errorf("%d bytes of the budget are free afterwards, want %d", free, otherBudget)
	}
}

// TestLargeBatches holds what a batch costs that is wrong in millions of places: 15 MB of
// empty objects, of unknown names, of numbers.
func TestLargeBatches(t *testing.T) {
	h := serve(t)
	most := 5 * time.Second
	if raced {
		most *= 10
	}
	var names, lists strings.Builder
	for i := range 80_000 {
		fmt.Fprintf(&names, `,"x%d":1`, i)
	}
	for range 1000 {
		lists.WriteString(`,[` + strings.Repeat("1,", 7000) + `1]`)
	}
	for _, c := range []struct{ name, body, location, detail string }{
		{"empty objects", `{"tasks":[{}` + strings.Repeat(",{}", 5_000_000) + `]}`, "body.tasks", ""},
		{"10,000 empty objects", `{"tasks":[{}` + strings.Repeat(",{}", 9_999) + `]}`, "body.tasks[0].task_id", "there are 9900 more"},
		{"an object of 80,000 names", `{"tasks":[{"task_id":"a"` + names.String() + `}]}`, "body.tasks[0]", ""},
		{"80,000 names", `{"task_id":"a"` + names.String() + `}`, "body", ""},
		{"lists of numbers", `{"tasks":[` + lists.String()[1:] + `]}`, "body", ""},
		{"objects of names", `{"tasks":[{"a":1}` + strings.Repeat(`,{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":1,"s":1,"t":1}`, 9_999) + `]}`, "body.tasks[0].task_id", "there are 209881 more"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		w := ask(h, "POST", batchPath, c.body)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		var p api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusUnprocessableEntity || len(p.Errors) == 0 {
			t.Errorf("%s = %d %.300s, want 422 with faults", c.name, w.Code, w.Body)
			continue
		}
		if len(p.Errors) > maxFaults || p.Errors[0].Location != c.location || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s = %q with %d faults, the first at %s; want %q with at most %d, the first at %s",
				c.name, p.Detail, len(p.Errors), p.Errors[0].Location, c.detail, maxFaults, c.location)
		}
		if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 300 || took > most || w.Body.Len() > 64<<10 {
			t.Errorf("%s: %d MB were allocated in %s for an answer of %d bytes", c.name, allocated, took, w.Body.Len())
		} else {
			t.Logf("%s: %d MB allocated, %s, %d bytes", c.name, allocated, took, w.Body.Len())
		}
	}
	// In a single task.
	names.Reset()
	for i := range 5_000 {
		fmt.Fprintf(&names, `,"x%d":1`, i)
	}
	var p api.Problem
	w := ask(h, "POST", "/v1/tasks", `{"task_id":"a"`+names.String()+`}`)
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) != maxFaults || !strings.Contains(p.Detail, "there are 4900 more") {
		t.Errorf("5,000 unknown names = %d %q with %d faults, want 100 and the number of the rest", w.Code, p.Detail, len(p.Errors))
	}
}
