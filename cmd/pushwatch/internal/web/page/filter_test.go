package page_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// rows are the ids of a list's rows, in their order.
func (w *world) rows(path string) (ids []string) {
	w.Helper()
	got := w.get(path)
	if got.Code != http.StatusOK {
		w.Fatalf("GET %s = %d", path, got.Code)
	}
	for _, m := range regexp.MustCompile(`<(?:tr|li) id="(?:1400000001/)?([^"]+)"`).FindAllStringSubmatch(body(got), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// TestEventFilters selects events by push, label, type and time.
func TestEventFilters(t *testing.T) {
	w := newWorld(t)
	w.story()
	all := len(w.rows("/events"))
	for _, c := range []struct {
		query string
		want  int
	}{
		{"id=math-3b", 4},
		{"id=1400000001/math-3b", 4},
		{"id=m", 7}, // math-3b, music-4d, mistyped
		{"id=none", 0},
		{"label=course:physics-2a", 3},
		{"label=course:math-3b&type=push.exception", 2},
		{"id=music&label=course:math-3b", 0},
		{"type=push.*", all},
		{"since=" + local(-10*time.Minute), 2},
		{"until=" + local(-10*time.Minute), all - 2},
		{"since=" + local(-20*time.Minute) + "&until=" + local(-10*time.Minute), 4},
	} {
		if got := w.rows("/events?" + c.query); len(got) != c.want {
			t.Errorf("events with %s = %d, want %d", c.query, len(got), c.want)
		}
	}
	for _, query := range []string{"since=yesterday", "label=x", "type=x"} {
		if got := w.get("/events?" + query); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("GET /events?%s = %d, want 422", query, got.Code)
		}
	}
	// Times that people enter are those of their zone.
	shanghai := &http.Cookie{Name: "pushwatch_zone", Value: "Asia/Shanghai:480"}
	since := time.Now().Add(8*time.Hour - 10*time.Minute).UTC().Format("2006-01-02T15:04")
	if got := strings.Count(w.get("/events?since="+since, shanghai).Body.String(), "<li id="); got != 2 {
		t.Errorf("events since %s in Shanghai = %d, want 2", since, got)
	}
}

// local is a time from now as a form sends it.
func local(from time.Duration) string {
	return time.Now().Add(from).UTC().Format("2006-01-02T15:04")
}

// TestDeliveryFilters selects deliveries by notifier, state and event.
func TestDeliveryFilters(t *testing.T) {
	w := newWorld(t)
	task := w.happen(w.register("a", time.Minute, nil), seen{kind: watcher.PushStarted}, seen{kind: watcher.PushFailed})
	w.delivered(3)
	event := string(watcher.FactID(task.Key.String() + "|2"))
	for query, want := range map[string]int{
		"": 3, "notifier=oncall": 1, "notifier=classroom": 2, "state=delivered": 3, "state=dead": 0, "notifier=oncall&state=pending": 0, "event=" + event: 2, "event=" + event + "&notifier=oncall": 1,
	} {
		if got := w.rows("/deliveries?" + query); len(got) != want {
			t.Errorf("deliveries with %s = %v, want %d", query, got, want)
		}
	}
}

// delivered waits until n deliveries are.
func (w *world) delivered(n int) {
	w.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		list, err := w.db.Deliveries(w.Context(), notify.Query{State: notify.Delivered})
		if err != nil || time.Since(begin) > hang {
			w.Fatalf("deliveries = %d, %v, want %d", len(list), err, n)
		}
		if len(list) >= n {
			return
		}
	}
}

// TestSorting sorts lists by their columns.
func TestSorting(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/tasks?state=all", []string{"waiting", "mistyped", "music-4d", "math-3b", "physics-2a"}},
		{"/tasks?state=all&sort=id", []string{"math-3b", "mistyped", "music-4d", "physics-2a", "waiting"}},
		{"/tasks?state=all&sort=state", []string{"waiting", "math-3b", "music-4d", "physics-2a", "mistyped"}},
		{"/tasks?state=all&sort=-state", []string{"mistyped", "physics-2a", "music-4d", "math-3b", "waiting"}},
		{"/tasks?state=all&sort=-changed", []string{"music-4d", "physics-2a", "math-3b", "mistyped", "waiting"}},
		{"/tasks?state=all&sort=nonsense", []string{"waiting", "mistyped", "music-4d", "math-3b", "physics-2a"}},
	} {
		if got := w.rows(c.path); !slices.Equal(got, c.want) {
			t.Errorf("GET %s = %v, want %v", c.path, got, c.want)
		}
	}
	if got := body(w.get("/tasks?sort=state&label=course:math-3b")); !strings.Contains(got, `<th scope="col" aria-sort="ascending"><a href="/tasks?label=course%3Amath-3b&sort=-state">State</a>`) {
		t.Errorf("the column that the list is sorted by does not reverse it:\n%s", got)
	}

	// In the order of ids every page is sorted as a whole.
	for i := range 60 {
		w.register(fmt.Sprintf("class-%02d", i), time.Duration(60-i)*time.Second, nil)
	}
	first := w.get("/tasks?state=all&sort=id&id=class")
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body(first))
	if next == nil || strings.Contains(body(first), "Only this page") {
		t.Fatalf("GET /tasks by id has no next page, or is said to be sorted in part:\n%s", body(first))
	}
	if got := w.rows(next[1]); len(got) != 10 || got[0] != "class-50" {
		t.Errorf("second page by id = %v, want class-50 to class-59", got)
	}
	if got := body(w.get("/tasks?state=all&sort=state")); !strings.Contains(got, "Only this page is sorted") {
		t.Error("a page that alone is sorted is not said to be")
	}
}

// TestRegister registers pushes with the form.
func TestRegister(t *testing.T) {
	w := newWorld(t, reader, writer)
	operator, look := w.signIn("write-write-write"), w.signIn("read-read-read-read")
	form := func(ids, labels, stop string) url.Values {
		return url.Values{"app": {"1400000001"}, "ids": {ids}, "labels": {labels}, "stop": {stop}}
	}
	got := w.post("/tasks", form("new-1", "course: math-3b\r\nroom:7", local(time.Hour)), operator)
	if location := got.Header().Get("Location"); got.Code != http.StatusSeeOther || location != "/tasks/1400000001/new-1?done=registered" {
		t.Errorf("POST /tasks = %d to %q:\n%s", got.Code, location, body(got))
	}
	task, err := w.db.Task(t.Context(), watcher.Key{SDKAppID: app, TaskID: "new-1"})
	if err != nil || task.Labels["course"] != "math-3b" || task.Labels["room"] != "7" || time.Until(task.ExpectedStopAt) < 58*time.Minute {
		t.Errorf("registered %+v, %v, want labels and a planned end", task, err)
	}
	got = w.post("/tasks", form("new-2, new-3\nnew-2 1400000002/new-4", "", ""), operator)
	if location := got.Header().Get("Location"); got.Code != http.StatusSeeOther || location != "/tasks?done=registered&n=3" {
		t.Errorf("POST /tasks = %d to %q:\n%s", got.Code, location, body(got))
	}
	if got := body(w.get("/tasks?done=registered&n=3", operator)); !strings.Contains(got, "3 pushes are registered.") {
		t.Errorf("GET /tasks does not say what was registered:\n%s", got)
	}
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "ghucnligqtgtvk2624mb-%d\n", i)
	}
	if got := w.post("/tasks", form(many.String(), "", ""), operator); got.Header().Get("Location") != "/tasks?done=registered&n=300" {
		t.Errorf("POST /tasks with 300 ids = %d to %q", got.Code, got.Header().Get("Location"))
	}
	for _, c := range []struct {
		form url.Values
		want string
	}{
		{form("", "", ""), "Enter at least one task id."},
		{form("a b c d!", "", ""), "Task id <bdi>d!</bdi> is not valid"},
		{form("a", "nonsense", ""), "key:value"},
		{form("a", "", "tomorrow"), "A time has the form"},
		{form("a", "UPPER:x", ""), "Labels are not valid: at most 16"},
		{url.Values{"app": {"x"}, "ids": {"a"}}, "An application is a number"},
		{url.Values{"app": {"1499999999"}, "ids": {"a<script>"}}, "a&lt;script&gt;"},
		{form(strings.Repeat("a ", 1001), "", ""), "at most 1"},
	} {
		got := w.post("/tasks", c.form, operator)
		if got.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Body.String(), c.want) || !strings.Contains(got.Body.String(), `name="ids"`) {
			t.Errorf("POST /tasks %v = %d, want 422 with %q and the form:\n%s", c.form, got.Code, c.want, body(got))
		}
	}
	if got := w.post("/tasks", form("secret", "", ""), look); got.Code != http.StatusForbidden {
		t.Errorf("POST /tasks by a reader = %d, want 403", got.Code)
	}
	if got := body(w.get("/tasks", look)); strings.Contains(got, "/tasks/new") || strings.Contains(got, "checkbox") {
		t.Error("a reader is offered to register or select")
	}
}

// TestSelected polls, reopens and sends again what was selected in a list.
func TestSelected(t *testing.T) {
	w := newWorld(t, reader, writer)
	operator, look := w.signIn("write-write-write"), w.signIn("read-read-read-read")
	w.story()
	all := url.Values{"next": {"/tasks?state=all&done=x"}, "task": {"1400000001/math-3b", "1400000001/music-4d", "1400000001/physics-2a", "1400000001/none", "nonsense"}}
	for _, c := range []struct{ action, location string }{
		{"poll", "/tasks?done=polled&n=1&state=all"}, {"reopen", "/tasks?done=reopened&n=2&state=all"},
	} {
		all.Set("action", c.action)
		if got := w.post("/tasks/selected", all, operator); got.Code != http.StatusSeeOther || got.Header().Get("Location") != c.location {
			t.Errorf("%s of the selected = %d to %q, want %s", c.action, got.Code, got.Header().Get("Location"), c.location)
		}
	}
	for _, id := range []string{"music-4d", "physics-2a"} {
		if task, err := w.db.Task(t.Context(), watcher.Key{SDKAppID: app, TaskID: id}); err != nil || task.State != watcher.Registered {
			t.Errorf("reopened %s = %+v, %v", id, task, err)
		}
	}
	all.Set("action", "remove")
	if got := w.post("/tasks/selected", all, operator); got.Code != http.StatusNotFound {
		t.Errorf("remove of the selected = %d, want 404", got.Code)
	}
	all.Set("action", "poll")
	if got := w.post("/tasks/selected", all, look); got.Code != http.StatusForbidden {
		t.Errorf("poll by a reader = %d, want 403", got.Code)
	}
	all.Set("next", "https://elsewhere.example/")
	if got := w.post("/tasks/selected", all, operator).Header().Get("Location"); !strings.HasPrefix(got, "/tasks?") {
		t.Errorf("an action leads to %q, want to stay here", got)
	}

	w.delivered(11)
	got := w.post("/deliveries/selected", url.Values{"delivery": {"dlv_1_1", "dlv_1_2", "dlv_1_999", "x"}}, operator)
	if location := got.Header().Get("Location"); got.Code != http.StatusSeeOther || location != "/deliveries?done=retried&n=2" {
		t.Errorf("sending the selected again = %d to %q", got.Code, location)
	}
}
