package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pushwatch/cmd/pushwatch/internal/web/page"
)

// faulty are requests that are wrong in one way each.
var faulty = []struct{ method, path, body, header string }{
	// Paths and methods.
	{"GET", "/v1/nothing", "", ""},
	{"GET", "/v1/tasks/", "", ""},
	{"GET", "//v1/tasks", "", ""},
	{"GET", "/v1/../metrics", "", ""},
	{"GET", "/v1/%2e%2e/metrics", "", ""},
	{"GET", "/v1/tasks/1400000001/a%00b", "", ""},
	{"GET", "/v1/tasks/1400000001/%ff", "", ""},
	{"GET", "/v1/tasks/1400000001/a%2Fb", "", ""},
	{"GET", "/v1/tasks/1400000001/课", "", ""},
	{"GET", "/v1/tasks/x/a", "", ""},
	{"GET", "/v1/tasks/0/a", "", ""},
	{"GET", "/v1/tasks/-1/a", "", ""},
	{"GET", "/v1/tasks/9223372036854775808/a", "", ""},
	{"GET", "/v1/tasks/1400000001/none", "", ""},
	{"GET", "/v1/tasks/1400000001/" + strings.Repeat("a", 129), "", ""},
	{"PUT", "/v1/tasks", "{}", ""},
	{"DELETE", "/v1/tasks", "", ""},
	{"POST", "/v1/events", "{}", ""},
	{"TRACE", "/v1/tasks", "", ""},
	// Queries.
	{"GET", "/v1/tasks?lables=a:b", "", ""},
	{"GET", "/v1/tasks?limit=0", "", ""},
	{"GET", "/v1/tasks?limit=1001", "", ""},
	{"GET", "/v1/tasks?limit=ten", "", ""},
	{"GET", "/v1/tasks?limit=%zz", "", ""},
	{"GET", "/v1/tasks?state=asleep", "", ""},
	{"GET", "/v1/tasks?label=course", "", ""},
	{"GET", "/v1/tasks?cursor=%21", "", ""},
	{"GET", "/v1/tasks?cursor=YS9i", "", ""},
	{"GET", "/v1/tasks?cursor=MS8A", "", ""},
	{"GET", "/v1/events?after=%21", "", ""},
	{"GET", "/v1/events?after=AQEqAA", "", ""},
	{"GET", "/v1/events?after=AQEq", "", ""},
	{"GET", "/v1/tasks?limit=1&limit=2", "", ""},
	{"GET", "/tasks?state=live&state=stopped", "", ""},
	{"GET", "/v1/tasks?cursor=&cursor=YS9i", "", ""},
	{"GET", "/v1/events?type=push.*&after=now&after=now", "", ""},
	{"GET", "/v1/events?type=push", "", ""},
	{"GET", "/v1/events?type=push.[", "", ""},
	{"GET", "/v1/events?subject=%00", "", ""},
	{"GET", "/v1/events/stream?after=AQEq", "", ""},
	{"GET", "/v1/events/stream", "", "Last-Event-ID: nonsense"},
	{"GET", "/v1/deliveries?state=lost", "", ""},
	{"GET", "/v1/deliveries?cursor=1", "", ""},
	// Bodies.
	{"POST", "/v1/tasks", "", ""},
	{"POST", "/v1/tasks", "{", ""},
	{"POST", "/v1/tasks", `{"task_id":"cut`, ""},
	{"POST", "/v1/tasks", `{"task_id" "a"}`, ""},
	{"POST", "/v1/tasks", `{"task_id":"a"}}`, ""},
	{"POST", "/v1/tasks", "[]", ""},
	{"POST", "/v1/tasks", "null", ""},
	{"POST", "/v1/tasks", `{"task_id":"a"} {}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001}`, ""},
	{"POST", "/v1/tasks", `{"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":"1400000001","task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":9007199254740993,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1e400,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":92233720368547758070,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001.5,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001.0,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":1}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a b"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"课"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":null}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","task_id":"b"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","TASK_ID":"b"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","lables":{}}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"A":"x"}}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"a":1}}`, ""},
	{"POST", "/v1/tasks", "{\"sdk_app_id\":1400000001,\"task_id\":\"a\",\"labels\":{\"course\":\"\xca\xfd\xd1\xa7\"}}", ""}, // GBK
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"course":"\ud800x"}}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a\udc00"}`, ""},
	{"POST", "/v1/tasks/batch", `{"tasks":[{"task_id":"a"},{"task_id":"b","labels":{"course":"\ud800\ud800"}}]}`, ""},
	{"POST", "/v1/tasks", "{\"task_id\":\"a\",\"\xff\":1}", ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"a":"` + strings.Repeat("x", 257) + `"}}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","expected_stop_at":"soon"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","expected_stop_at":"9999-12-31T23:59:59-14:00"}`, ""},
	{"PATCH", "/v1/tasks/1400000001/a", `{"expected_stop_at":"0000-01-01T00:00:00+14:00"}`, ""},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 41), ""},
	{"POST", "/v1/tasks", strings.Repeat("[", 50_000), ""},
	{"POST", "/v1/tasks", `{"task_id":"` + strings.Repeat("a", 1<<20) + `"}`, ""},
	{"POST", "/v1/tasks?reopen=perhaps", `{"sdk_app_id":1400000001,"task_id":"a"}`, ""},
	{"POST", "/v1/tasks", `task_id=a`, "Content-Type: application/x-www-form-urlencoded"},
	{"POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a"}`, "Content-Type: text/plain"},
	{"POST", "/v1/tasks/batch", `{"tasks":[]}`, ""},
	{"POST", "/v1/tasks/batch", `{"tasks":[{"task_id":"a"},{}]}`, ""},
	{"POST", "/v1/tasks/batch", `{"tasks":[{"sdk_app_id":1400000001,"task_id":"a"},{"sdk_app_id":7,"task_id":"b"}]}`, ""},
	{"PATCH", "/v1/tasks/1400000001/none", `{}`, ""},
	{"PATCH", "/v1/tasks/1400000001/none", `{"labels":{"a":null}}`, ""},
	{"PATCH", "/v1/tasks/1400000001/none", `{"labels":{"A":"x"}}`, ""},
	{"PATCH", "/v1/tasks/1400000001/none", `{"state":"stopped"}`, ""},
	{"PATCH", "/v1/tasks/1400000001/none", `{"expected_stop_at":5}`, ""},
	{"POST", "/v1/tasks/1400000001/none/poll", "", ""},
	{"GET", "/v1/deliveries/1", "", ""},
	{"GET", "/v1/deliveries/dlv_1_1", "", ""},
	{"GET", "/v1/deliveries/dlv_01_1", "", ""},
	{"POST", "/v1/deliveries/dlv_9999999999999999999_1/retry", "", ""},
	{"POST", "/v1/deliveries/retry", `{}`, ""},
	{"POST", "/v1/deliveries/retry", `{"notifier":"nobody"}`, ""},
	{"POST", "/v1/deliveries/retry", `{"notifier":"log","since":"yesterday"}`, ""},
	{"POST", "/v1/notifiers/nobody/test", "", ""},
	{"POST", "/v1/notifiers/nobody/pause", "", ""},
	{"POST", "/v1/notifiers/log/explode", "", ""},
	// What a browser would send for somebody else.
	{"POST", "/v1/notifiers/log/pause", "", "Sec-Fetch-Site: cross-site"},
	{"DELETE", "/v1/tasks/1400000001/a", "", "Origin: https://elsewhere.example"},
	{"GET", "/v1/tasks", "", "Host: rebound.example"},
}

// TestFaultyRequests holds that whatever is wrong is answered with a problem
// detail that names it. The golden file has the answers.
func TestFaultyRequests(t *testing.T) {
	h := serve(t)
	var all bytes.Buffer
	for _, c := range faulty {
		w := ask(h, c.method, c.path, c.body, c.header)
		var detail map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &detail); err != nil || w.Code < 400 || w.Code >= 500 || w.Header().Get("Content-Type") != "application/problem+json" || detail["detail"] == "" {
			t.Errorf("%s %s %.80s = %d %s %.300s, want a problem", c.method, c.path, c.body, w.Code, w.Header().Get("Content-Type"), w.Body)
			continue
		}
		text, _ := json.MarshalIndent(detail, "", "  ")
		if len(text) > 2000 {
			t.Errorf("%s %s %.80s is answered with %d bytes", c.method, c.path, c.body, len(text))
		}
		fmt.Fprintf(&all, "%s %.100s %.100s %s\n%s\n\n", c.method, c.path, c.body, c.header, text)
	}
	golden(t, "faulty.txt", all.Bytes())
}

// FuzzAPI holds that no request is answered with a fault of the server, and that
// every error is a problem detail, or a page for people where it is one's path.
func FuzzAPI(f *testing.F) {
	for _, c := range faulty {
		f.Add(c.method, c.path, c.body, c.header)
	}
	f.Add("POST", "/v1/tasks", `{"sdk_app_id":1400000001,"task_id":"a","labels":{"course":"math-3b"}}`, "")
	f.Add("PATCH", "/v1/tasks/1400000001/a", `{"labels":null,"expected_stop_at":null}`, "")
	f.Add("GET", "/v1/events?after=now&type=push.*&subject=1400000001/a", "", "")
	h := serve(f)
	f.Fuzz(func(t *testing.T, method, path, body, header string) {
		r, err := http.NewRequest(method, "http://localhost/", strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			return // no server would read it
		}
		if r.URL, err = r.URL.Parse("http://localhost" + path); err != nil || strings.HasPrefix(r.URL.Path, streamPath) {
			return // or the answer has no end
		}
		w := send(h, r, body, header)
		if w.Code >= 500 {
			t.Errorf("%s %q %q %q = %d %s", method, path, body, header, w.Code, w.Body)
		}
		kind := w.Header().Get("Content-Type")
		forPeople := page.Owns(r.URL.Path) && kind == "text/html; charset=utf-8"
		if w.Code >= 400 && kind != "application/problem+json" && !forPeople && method != http.MethodHead {
			t.Errorf("%s %q %q %q = %d %s, want a problem", method, path, body, header, w.Code, kind)
		}
	})
}
