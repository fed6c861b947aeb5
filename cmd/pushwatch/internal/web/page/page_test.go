package page_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/web"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/notify"
	"pushwatch/watcher"
)

// get asks for a path.
func (w *world) get(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	return w.send(http.MethodGet, path, nil, cookies...)
}

// post sends a form as a browser does.
func (w *world) post(path string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	return w.send(http.MethodPost, path, form, cookies...)
}

func (w *world) send(method, path string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = "localhost"
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}

// story has one push of each kind.
func (w *world) story() {
	w.happen(w.register("math-3b", 40*time.Minute, map[string]string{"course": "math-3b", "room": "7"}),
		seen{kind: watcher.PushPreparing, ago: 39 * time.Minute, window: 2 * time.Second},
		seen{kind: watcher.PushStarted, ago: 37 * time.Minute, window: 3 * time.Second, push: pushing(37*time.Minute, 0)},
		seen{kind: watcher.PushException, ago: 12 * time.Minute, window: 8 * time.Second, push: pushing(37*time.Minute, 1)},
		seen{kind: watcher.PushException, ago: 11 * time.Minute, window: 4 * time.Second, push: pushing(37*time.Minute, 2)})
	w.happen(w.register("physics-2a", 55*time.Minute, map[string]string{"course": "physics-2a"}),
		seen{kind: watcher.PushStarted, ago: 54 * time.Minute, window: 2 * time.Second, push: pushing(54*time.Minute, 0)},
		seen{kind: watcher.PushException, ago: 16 * time.Minute, window: 4 * time.Minute, push: pushing(54*time.Minute, 1)},
		seen{kind: watcher.PushFailed, ago: 7 * time.Minute, window: 5 * time.Second, push: ended(54*time.Minute, 7*time.Minute, "EXCEPTION")})
	w.plan("physics-2a", -3*time.Minute)
	w.happen(w.register("music-4d", 30*time.Minute, map[string]string{"course": "music-4d"}),
		seen{kind: watcher.PushStarted, ago: 29 * time.Minute, window: time.Second, push: pushing(29*time.Minute, 0)},
		seen{kind: watcher.PushStopped, ago: 2 * time.Minute, window: 3 * time.Second, push: ended(29*time.Minute, 2*time.Minute, "USER_CALL")})
	w.happen(w.register("mistyped", 20*time.Minute, nil),
		seen{kind: watcher.PushNotFound, ago: 19 * time.Minute, err: &watcher.APIError{Code: "InvalidParameter.TaskNotFound", Message: "no such task"}})
	w.register("waiting", time.Minute, map[string]string{"course": "art-1a"})
}

func TestViews(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, c := range []struct {
		path string
		want []string
		not  string
	}{
		{"/", []string{"All pushes visible", "122 live pushes on 1 account", "12", "push.failed", "classroom", "oncall"}, "Blind"},
		{"/tasks", []string{"math-3b", "waiting", "push.exception"}, "music-4d"},
		{"/tasks?state=ended", []string{"music-4d", "physics-2a", "mistyped", "USER_CALL", "EXCEPTION", "TaskNotFound"}, "waiting"},
		{"/tasks?state=failed", []string{"physics-2a"}, "music-4d"},
		{"/tasks?state=all&id=usi", []string{"music-4d"}, "physics-2a"},
		{"/tasks?state=all&id=1400000001/music-4d", []string{"music-4d"}, "physics-2a"},
		{"/tasks?state=all&app=1400000002", []string{"No push matches."}, "physics-2a"},
		{"/tasks?state=all&label=course:physics-2a", []string{"physics-2a"}, "music-4d"},
		{"/tasks/1400000001/math-3b", []string{"Poll now", "push.exception", "it happened in the 8 s since", "PushStartTime", "unix seconds", "tic_push_user_880528_test1", "classroom", "room"}, "Reopen"},
		{"/tasks/1400000001/physics-2a", []string{"Reopen", "EXCEPTION", "duration 47 m", "Planned end", "oncall"}, "Poll now"},
		{"/tasks/1400000001/waiting", []string{"No event yet.", "None yet."}, "Reopen"},
		{"/events", []string{"push.started", "music-4d", "1 new, 2 in all"}, "watcher.blind</span>"},
		{"/events?type=push.failed", []string{"physics-2a"}, "music-4d"},
		{"/deliveries", []string{"dlv_1_1", "math-3b"}, ""},
		{"/notifiers", []string{"classroom", "https://classroom.example", "Pause", "active"}, "Send the failed deliveries"},
	} {
		got := w.get(c.path)
		if got.Code != http.StatusOK {
			t.Errorf("GET %s = %d", c.path, got.Code)
		}
		main := body(got)
		for _, want := range c.want {
			if !strings.Contains(main, want) {
				t.Errorf("GET %s does not say %q:\n%s", c.path, want, main)
			}
		}
		if c.not != "" && strings.Contains(main, c.not) {
			t.Errorf("GET %s says %q", c.path, c.not)
		}
	}
	for path, want := range map[string]int{
		"/tasks/1400000001/none": 404, "/tasks/x/y": 404, "/tasks/1400000001": 404, "/deliveries/dlv_1_999": 404, "/deliveries/x": 404,
		"/tasks?app=x": 422, "/tasks?label=x": 422, "/tasks?after=x": 404, "/events?before=x": 404, "/events?type=x": 422, "/deliveries?state=x": 422, "/assets/none.css": 404,
	} {
		if got := w.get(path); got.Code != want {
			t.Errorf("GET %s = %d, want %d", path, got.Code, want)
		}
	}
}

// TestTaskDeliveries holds that a task's view shows the attempts of its deliveries, and
// is asked for again when there is news of that task, not of all.
func TestTaskDeliveries(t *testing.T) {
	w := newWorld(t)
	w.happen(w.register("math-3b", time.Minute, nil), seen{kind: watcher.PushStarted})
	delivered := func() bool {
		list, err := w.db.Deliveries(t.Context(), notify.Query{State: notify.Delivered})
		return err != nil || len(list) > 0
	}
	for begin := time.Now(); !delivered() && time.Since(begin) < hang; {
		time.Sleep(10 * time.Millisecond)
	}
	const push = "/tasks/1400000001/math-3b"
	if got := body(w.get(push)); !strings.Contains(got, `<span class="good">204</span>`) {
		t.Errorf("GET %s does not show the attempt:\n%s", push, got)
	}
	for path, want := range map[string]string{
		"/": `data-stream="/v1/events/stream?after=now"`, push: `data-stream="/v1/events/stream?after=now&amp;subject=1400000001%2Fmath-3b"`,
	} {
		if got := w.get(path).Body.String(); !strings.Contains(got, want) {
			t.Errorf("GET %s does not follow %s", path, want)
		}
	}
}

// body is what the main part of a view says.
func body(answer *httptest.ResponseRecorder) string {
	_, main, _ := strings.Cut(answer.Body.String(), "<main")
	main, _, _ = strings.Cut(main, "</main>")
	return html.UnescapeString(main)
}

// restless has accounts' last hour be one in which no two samples were alike, which
// takes the most to draw.
func restless(history *page.History, accounts []watcher.AccountStatus) {
	random := rand.New(rand.NewPCG(1, 2))
	for ago := time.Hour; ago > 0; ago -= 15 * time.Second {
		accounts = slices.Clone(accounts)
		for i := range accounts {
			a := &accounts[i]
			a.Used, a.Granted = 20*random.Float64(), 20*random.Float64()
			for _, d := range []*time.Duration{&a.Staleness, &a.Starts.Seen, &a.Starts.Expected, &a.Stops.Seen, &a.Stops.Expected} {
				*d = time.Duration(1 + random.Int64N(int64(time.Minute)))
			}
		}
		history.Sample(time.Now().Add(-ago), accounts)
	}
}

// TestFirstLoad holds that all of the overview is below 100 kB, allows a browser
// nothing more than it needs, and names files that are there and may be kept.
func TestFirstLoad(t *testing.T) {
	w := newWorld(t)
	w.story()
	restless(w.history, w.Accounts(t.Context()))
	overview := w.get("/")
	if got := overview.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
		t.Errorf("Content-Security-Policy = %q", got)
	}
	total, files := overview.Body.Len(), 0
	for rest := overview.Body.String(); ; files++ {
		_, after, found := strings.Cut(rest, `"/assets/`)
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, `"`)
		rest = after
		file := w.get("/assets/" + name)
		if kept := file.Header().Get("Cache-Control"); file.Code != http.StatusOK || !strings.Contains(kept, "immutable") {
			t.Errorf("GET /assets/%s = %d, Cache-Control %q", name, file.Code, kept)
		}
		total += file.Body.Len()
	}
	if t.Logf("first load: %d bytes in %d files", total, files+1); files != 3 || total > 100_000 {
		t.Errorf("first load: %d bytes in %d files, want below 100,000 in 4", total, files+1)
	}
}

// TestManyAccounts holds that the overview of many accounts begins with the worst,
// and is still a small one.
func TestManyAccounts(t *testing.T) {
	w := newWorld(t)
	var accounts []watcher.AccountStatus
	for i := range 200 {
		accounts = append(accounts, fine(fmt.Sprintf("school-%03d", i)))
		if i >= 180 {
			accounts[i].Outages = blindAccount("", 0, time.Hour, true).Outages
		}
	}
	w.show(accounts...)
	restless(w.history, accounts)
	got := w.get("/")
	t.Logf("the overview of 200 accounts: %d bytes", got.Body.Len())
	main := body(got)
	for _, want := range []string{"Partly blind", "And 14 more", "197 other accounts", `id="account-school-180"`} {
		if !strings.Contains(main, want) {
			t.Errorf("the overview of 200 accounts does not say %q", want)
		}
	}
	if first := strings.Index(main, "school-180"); first < 0 || first > strings.Index(main, "school-000") {
		t.Error("the overview of 200 accounts does not begin with one that is blind")
	}
	if got.Body.Len() > 100_000 {
		t.Errorf("the overview of 200 accounts has %d bytes, want below 100,000", got.Body.Len())
	}
}

func TestHostileText(t *testing.T) {
	w := newWorld(t)
	blind := blindAccount("school", 0, 3*time.Minute, true)
	blind.Outages[0].Cause.Message = hostile
	w.show(blind)
	push := ended(time.Minute, time.Second, hostile)
	push.Backup, push.PushUserID = new(hostile), new(hostile)
	task := w.happen(w.register("a", time.Minute, map[string]string{"course": hostile, "title": long}),
		seen{kind: watcher.PushFailed, push: push, err: &watcher.APIError{Code: "FailedOperation.WhiteboardPush", Message: hostile}})
	for _, path := range []string{"/", "/tasks?state=all", "/tasks/" + task.Key.String(), "/events", "/tasks?state=all&id=" + url.QueryEscape("<b>\u202e")} {
		got := w.get(path)
		text := got.Body.String()
		if got.Code != http.StatusOK {
			t.Errorf("GET %s = %d", path, got.Code)
		}
		if strings.Contains(text, "<script>alert") || strings.Contains(text, "<b>") || strings.ContainsAny(text, "\u202e\u200b\x00\x1b") {
			t.Errorf("GET %s shows hostile text as more than text", path)
		}
		if !strings.Contains(text, "202E⟩") {
			t.Errorf("GET %s does not show the mark that turns the direction", path)
		}
	}
}

func TestActions(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, c := range []struct {
		path, location string
		status         int
	}{
		{"/tasks/1400000001/math-3b/poll", "/tasks/1400000001/math-3b?done=polled", 303},
		{"/tasks/1400000001/music-4d/poll", "", 409},
		{"/tasks/1400000001/none/poll", "", 404},
		{"/tasks/1400000001/math-3b/nonsense", "", 404},
		{"/tasks/1400000001/music-4d/reopen", "/tasks/1400000001/music-4d?done=reopened", 303},
		{"/tasks/1400000001/waiting/remove", "/tasks?done=removed", 303},
		{"/notifiers/classroom/pause", "/notifiers?done=paused", 303},
		{"/notifiers/classroom/resume", "/notifiers?done=resumed", 303},
		{"/notifiers/classroom/test", "/notifiers?done=tested", 303},
		{"/notifiers/classroom/replay", "/notifiers?done=replayed&n=0", 303},
		{"/notifiers/none/pause", "", 404},
		{"/deliveries/dlv_1_1/retry", "/deliveries/dlv_1_1?done=retried", 303},
		{"/deliveries/dlv_1_999/retry", "", 404},
	} {
		got := w.post(c.path, url.Values{})
		if location := got.Header().Get("Location"); got.Code != c.status || location != c.location {
			t.Errorf("POST %s = %d to %q, want %d to %q", c.path, got.Code, location, c.status, c.location)
		}
		if c.location != "" {
			if then := w.get(c.location); then.Code != http.StatusOK || !strings.Contains(then.Body.String(), `class="done"`) {
				t.Errorf("GET %s = %d, want a notice of what was done", c.location, then.Code)
			}
		}
	}
	if len(w.polled) != 3 {
		t.Errorf("polled %v, want what was asked for", w.polled)
	}
	if got, err := w.db.Task(t.Context(), watcher.Key{SDKAppID: app, TaskID: "music-4d"}); err != nil || got.State != watcher.Registered || got.Labels["course"] != "music-4d" {
		t.Errorf("reopened task = %+v, %v, want it watched again with its labels", got, err)
	}

	// What comes from another site's page is refused, whoever it is.
	r := httptest.NewRequest(http.MethodPost, "/notifiers/classroom/pause", nil)
	r.Host = "localhost"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	answer := httptest.NewRecorder()
	if w.ServeHTTP(answer, r); answer.Code != http.StatusForbidden {
		t.Errorf("POST from another site = %d, want 403", answer.Code)
	}
}

var (
	reader = web.NewToken("looker", "read-read-read-read", web.Read)
	writer = web.NewToken("operator", "write-write-write", web.Write)
)

// signIn returns the cookie that a secret gives.
func (w *world) signIn(secret string) *http.Cookie {
	w.Helper()
	got := w.post("/signin", url.Values{"token": {secret}, "next": {"/events"}})
	cookies := got.Result().Cookies()
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/events" || len(cookies) != 1 {
		w.Fatalf("POST /signin = %d to %q with %v, want to come in", got.Code, got.Header().Get("Location"), cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.MaxAge <= 0 || strings.Contains(c.Value, secret) {
		w.Errorf("cookie = %+v", c)
	}
	return c
}

func TestSignIn(t *testing.T) {
	w := newWorld(t, reader, writer)
	w.story()
	const push = "/tasks/1400000001/math-3b"
	for _, path := range []string{"/", "/tasks?state=ended", push, "/events", "/deliveries", "/notifiers"} {
		got := w.get(path)
		location := "/signin?next=" + url.QueryEscape(path)
		if path == "/" {
			location = "/signin"
		}
		if got.Code != http.StatusSeeOther || got.Header().Get("Location") != location {
			t.Errorf("GET %s = %d to %q, want the way in", path, got.Code, got.Header().Get("Location"))
		}
	}
	for _, path := range []string{push + "/poll", "/notifiers/classroom/pause", "/deliveries/dlv_1_1/retry"} {
		if got := w.post(path, nil); got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/signin" {
			t.Errorf("POST %s = %d to %q, want the way in", path, got.Code, got.Header().Get("Location"))
		}
	}
	if got := w.get("/signin"); got.Code != http.StatusOK || strings.Contains(got.Body.String(), "visible") {
		t.Errorf("GET /signin = %d %s, want a form and nothing of what is seen", got.Code, got.Body)
	}
	for _, wrong := range []string{"", "wrong", "write-write-writ", "write-write-write "} {
		if got := w.post("/signin", url.Values{"token": {wrong}}); got.Code != http.StatusUnauthorized || len(got.Result().Cookies()) > 0 {
			t.Errorf("POST /signin with %q = %d, want 401", wrong, got.Code)
		}
	}
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example/", "/\\elsewhere.example", "/v1/tasks", "javascript:alert(1)", "tasks"} {
		if got := w.post("/signin", url.Values{"token": {"read-read-read-read"}, "next": {next}}); got.Header().Get("Location") != "/" {
			t.Errorf("POST /signin with next = %q leads to %q, want /", next, got.Header().Get("Location"))
		}
	}

	look, act := w.signIn("read-read-read-read"), w.signIn("write-write-write")
	if got := w.get(push, look); got.Code != http.StatusOK || strings.Contains(body(got), "<form") {
		t.Errorf("GET %s by a reader = %d %s, want the task without actions", push, got.Code, body(got))
	}
	if got := w.get("/notifiers", look); got.Code != http.StatusOK || strings.Contains(body(got), "<form") {
		t.Errorf("GET /notifiers by a reader = %d %s, want them without actions", got.Code, body(got))
	}
	for _, path := range []string{push + "/poll", push + "/remove", "/notifiers/classroom/pause", "/deliveries/dlv_1_1/retry"} {
		if got := w.post(path, nil, look); got.Code != http.StatusForbidden {
			t.Errorf("POST %s by a reader = %d, want 403", path, got.Code)
		}
	}
	if got := w.post(push+"/poll", nil, act); got.Code != http.StatusSeeOther || len(w.polled) != 1 {
		t.Errorf("POST poll by a writer = %d, %v, want it done", got.Code, w.polled)
	}
	// The cookie is for the page, and no key to the API.
	if got := w.get("/v1/tasks", act); got.Code != http.StatusUnauthorized {
		t.Errorf("GET /v1/tasks with a cookie = %d, want 401", got.Code)
	}

	// A session is for as long as its token, and with the role that it has then.
	w.SetTokens([]web.Token{reader, web.NewToken("operator", "write-write-write", web.Read)})
	if got := w.post(push+"/poll", nil, act); got.Code != http.StatusForbidden {
		t.Errorf("POST poll after the token has lost its role = %d, want 403", got.Code)
	}
	w.SetTokens([]web.Token{reader})
	if got := w.get("/", act); got.Code != http.StatusSeeOther {
		t.Errorf("GET / after the token is gone = %d, want the way in", got.Code)
	}
	if got := w.get("/", look); got.Code != http.StatusOK {
		t.Errorf("GET / by another token's session = %d, want 200", got.Code)
	}
	if got := w.post("/signout", nil, look); got.Header().Get("Location") != "/signin" {
		t.Errorf("POST /signout = %d to %q", got.Code, got.Header().Get("Location"))
	}
	if got := w.get("/", look); got.Code != http.StatusSeeOther {
		t.Errorf("GET / after signing out = %d, want the way in", got.Code)
	}
}

// TestSecureCookie holds that a cookie that was given over HTTPS is kept from
// plain HTTP.
func TestSecureCookie(t *testing.T) {
	w := newWorld(t, reader)
	r := httptest.NewRequest(http.MethodPost, "https://pushwatch.example/signin", strings.NewReader("token=read-read-read-read"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	if c := answer.Result().Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("cookie over HTTPS = %v, want Secure", c)
	}
}
