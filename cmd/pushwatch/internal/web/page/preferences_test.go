package page_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestPreferences chooses a language and a zone, signed in or not.
func TestPreferences(t *testing.T) {
	w := newWorld(t, reader)
	got := w.post("/preferences", url.Values{"language": {"zh-CN"}, "next": {"/signin?next=%2Fevents"}})
	cookies := got.Result().Cookies()
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/signin?next=%2Fevents" || len(cookies) != 1 {
		t.Fatalf("POST /preferences = %d to %q with %v", got.Code, got.Header().Get("Location"), cookies)
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge <= 0 || c.Value != "zh-CN" {
		t.Errorf("cookie = %+v", c)
	}
	if got := w.get("/signin", cookies[0]); !strings.Contains(got.Body.String(), `lang="zh-CN"`) || !strings.Contains(got.Body.String(), "登录") || got.Header().Get("Content-Language") != "zh-CN" {
		t.Errorf("GET /signin is not in Chinese:\n%s", got.Body)
	}
	for _, c := range []struct {
		form  url.Values
		value string
		keeps bool
	}{
		{url.Values{"zone": {"Asia/Shanghai:480"}}, "Asia/Shanghai:480", true},
		{url.Values{"zone": {""}}, "", false},
		{url.Values{"zone": {"<script>:0"}}, "", false},
		{url.Values{"zone": {"../../etc/passwd:0"}}, "", false},
		{url.Values{"language": {"xx"}}, "", false},
	} {
		cookies := w.post("/preferences", c.form).Result().Cookies()
		if len(cookies) != 1 || cookies[0].Value != c.value || (cookies[0].MaxAge > 0) != c.keeps {
			t.Errorf("POST /preferences %v sets %v, want %q", c.form, cookies, c.value)
		}
	}
	if got := w.post("/preferences", url.Values{"next": {"https://elsewhere.example/"}}); got.Header().Get("Location") != "/" || len(got.Result().Cookies()) != 0 {
		t.Errorf("POST /preferences leads to %q with %v, want here with nothing", got.Header().Get("Location"), got.Result().Cookies())
	}
}

// TestChineseViews holds that hostile text stays text in the other language too, and that
// times are those of the chosen zone, with UTC beside.
func TestChineseViews(t *testing.T) {
	w := newWorld(t)
	blind := blindAccount("school", 0, 3*time.Minute, true)
	blind.Outages[0].Cause.Message = hostile
	w.show(blind)
	task := w.happen(w.register("a", time.Minute, map[string]string{"course": hostile}), seen{kind: watcher.PushFailed, push: ended(time.Minute, time.Second, hostile)})
	chosen := []*http.Cookie{{Name: "pushwatch_language", Value: "zh-CN"}, {Name: "pushwatch_zone", Value: "Asia/Shanghai:480"}}
	for _, path := range []string{"/", "/accounts/school", "/tasks?state=all", "/tasks/" + task.Key.String(), "/events", "/deliveries", "/notifiers", "/tasks/new"} {
		got := w.get(path, chosen...)
		text := got.Body.String()
		if got.Code != http.StatusOK || strings.Contains(text, "<script>alert") || strings.ContainsAny(text, "\u202e\u200b\x00\x1b") || !strings.Contains(text, "无法观测") {
			t.Errorf("GET %s in Chinese = %d:\n%s", path, got.Code, text)
		}
	}
	at := blind.Outages[0].Since
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	want := `title="` + at.UTC().Format("2006-01-02T15:04:05.000Z") + `">` + at.In(shanghai).Format("15:04:05") + `</time>`
	if got := w.get("/", chosen...).Body.String(); !strings.Contains(got, want) {
		t.Errorf("the overview does not say since when it is blind as %s", want)
	}
}

// TestHeader holds that the header of every view covers delivery as well as watching.
func TestHeader(t *testing.T) {
	w := newWorld(t)
	chip := func() string {
		_, rest, _ := strings.Cut(w.get("/tasks/new").Body.String(), `id="chip"`)
		_, rest, _ = strings.Cut(rest, ">")
		word, _, _ := strings.Cut(rest, "</a>")
		return word
	}
	if got := chip(); got != "OK" {
		t.Errorf("where all is well the header says %q", got)
	}
	if err := w.dispatcher.Pause(t.Context(), "oncall"); err != nil {
		t.Fatal(err)
	}
	if got := chip(); got != "<bdi>oncall</bdi> is paused" {
		t.Errorf("with a paused notifier the header says %q", got)
	}
	slow := fine("school")
	slow.Granted = 12
	w.show(slow)
	if got := chip(); got != "<bdi>oncall</bdi> is paused" {
		t.Errorf("with a paused notifier and a slow account the header says %q, want the worse one", got)
	}
	w.show(blindAccount("school", 0, time.Hour, true))
	if got := chip(); got != "Blind" {
		t.Errorf("with a blind account the header says %q", got)
	}
	w.show(fine("school"))
	if err := w.dispatcher.Resume(t.Context(), "oncall"); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.refuse = &notify.SendError{Reason: "answer 400", Final: true, Err: errors.New("400")}
	w.mu.Unlock()
	w.happen(w.register("lost", time.Minute, nil), seen{kind: watcher.PushFailed})
	want := "2 deliveries failed permanently"
	for begin := time.Now(); chip() != want; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > hang {
			t.Fatalf("after failed deliveries the header says %q, want %q", chip(), want)
		}
	}
}

// TestAdvice holds that a known error leads to what to do about it.
func TestAdvice(t *testing.T) {
	w := newWorld(t)
	for code, want := range map[string]string{
		"AuthFailure.SecretIdNotFound": "The account's secret_id is unknown or disabled",
		"AuthFailure.SignatureFailure": "secret_key does not belong to its secret_id",
		"AuthFailure.SignatureExpire":  "Set this machine's clock",
		"AuthFailure.TokenFailure":     "session_token is wrong or has expired",
		"UnauthorizedOperation.Cam":    "tiw:DescribeWhiteboardPush",
		"network":                      "the account's endpoint and proxy_url",
		"InternalError.Db":             "TIW's own",
		"SomethingNew":                 "Check the credentials, the network",
	} {
		a := blindAccount("school", 0, time.Hour, true)
		a.Outages[0].Cause.Code = code
		w.show(a)
		if got := body(w.get("/accounts/school")); !strings.Contains(got, want) {
			t.Errorf("after %s the account's page does not say %q:\n%s", code, want, got)
		}
	}
	// Links of an account's card keep the account.
	if got := body(w.get("/")); !strings.Contains(got, "/tasks?account=school&state=pushing") {
		t.Errorf("links on the account's card do not keep the account:\n%s", got)
	}
	w.register("a", time.Minute, nil)
	if got := w.rows("/tasks?account=college"); len(got) != 0 {
		t.Errorf("pushes of another account = %v", got)
	}
	if got := w.rows("/tasks?account=school"); len(got) != 1 {
		t.Errorf("pushes of the account = %v, want one", got)
	}
}

// TestBlindPushes shows pushes that are blind by themselves: on the overview, in the
// list, and each with its error and what to do.
func TestBlindPushes(t *testing.T) {
	w := newWorld(t)
	since := time.Now().Add(-time.Hour)
	alone := &watcher.Blind{Since: since, Alone: since, Error: watcher.PollError{Code: "InvalidParameter", Message: hostile, Since: since}}
	blind := w.happen(w.register("unclear", 2*time.Hour, nil),
		seen{kind: watcher.PushStarted, ago: time.Hour, push: pushing(time.Hour, 0)},
		seen{kind: watcher.PushBlind, ago: 50 * time.Minute, push: pushing(time.Hour, 0), blind: alone})
	w.happen(w.register("given-up", 80*time.Hour, nil), seen{kind: watcher.PushBlind, ago: 73 * time.Hour, blind: alone}, seen{kind: watcher.PushAbandoned, ago: time.Hour, blind: alone})
	w.register("fresh", time.Minute, nil)
	a := fine("school")
	a.BlindPushes, a.Unobserved = 1, 3
	w.show(a)
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/", []string{"Partly blind", "Status unknown for 1 push alone", "3 are not observed yet.", "/tasks?account=school&state=blind", "push.abandoned"}},
		{"/tasks?state=blind", []string{"unclear", `<span class="state bad">blind</span>`}},
		{"/tasks?state=abandoned", []string{"given-up", "not observed since", "InvalidParameter"}},
		{"/tasks/" + blind.Key.String(), []string{"this push alone cannot be observed", "Polls fail since", "InvalidParameter", "202E⟩", "Check that the task id belongs to this application", "push.blind"}},
		{"/tasks/1400000001/given-up", []string{"abandoned", "Ended", "not observed since", "Reopen"}},
		{"/tasks/1400000001/fresh", []string{"Not observed yet."}},
		{"/events?type=push.blind", []string{"unclear", "given-up"}},
	} {
		got := w.get(c.path)
		if got.Code != http.StatusOK {
			t.Errorf("GET %s = %d", c.path, got.Code)
		}
		for _, want := range c.want {
			if !strings.Contains(body(got), want) {
				t.Errorf("GET %s does not say %q:\n%s", c.path, want, body(got))
			}
		}
		if strings.Contains(got.Body.String(), "<script>alert") {
			t.Errorf("GET %s shows hostile text as more than text", c.path)
		}
	}
	if got := w.rows("/tasks?state=blind"); len(got) != 1 {
		t.Errorf("blind pushes = %v, want the one", got)
	}
	if got := body(w.get("/tasks/1400000001/given-up")); strings.Contains(got, "Polls fail") {
		t.Error("the polls of an ended push are said to fail")
	}
}

// TestDown shows a notifier that does not answer, and when it is probed.
func TestDown(t *testing.T) {
	w := newWorld(t)
	w.mu.Lock()
	w.refuse = &notify.SendError{Reason: "connection refused", Err: errors.New("connection refused")}
	w.mu.Unlock()
	for i := range 12 {
		w.happen(w.register(string(rune('a'+i)), time.Minute, nil), seen{kind: watcher.PushStarted})
	}
	want := "<bdi>classroom</bdi> is down"
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got := body(w.get("/notifiers"))
		if header := w.get("/").Body.String(); strings.Contains(header, want) && strings.Contains(got, "next probe") && strings.Contains(got, "connection refused") {
			break
		}
		if time.Since(begin) > hang {
			t.Fatalf("a notifier that is down is shown as\n%s", got)
		}
	}
}

// TestPushInOutage shows with a push that its application or account is blind, and with the
// pushes of other applications that they are not.
func TestPushInOutage(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, c := range []struct {
		outage watcher.AccountStatus
		blind  bool
	}{
		{blindAccount("school", app, time.Hour, true), true},
		{blindAccount("school", 0, time.Hour, true), true},
		{blindAccount("school", app, time.Hour, false), false}, // not reported yet
		{blindAccount("school", app+1, time.Hour, true), false},
		{blindAccount("college", 0, time.Hour, true), false},
	} {
		w.show(c.outage)
		for path, want := range map[string]string{
			"/tasks/1400000001/math-3b": "Status unknown for 122 live pushes since",
			"/tasks":                    `<span class="state bad">blind</span>`,
		} {
			if got := strings.Contains(body(w.get(path)), want); got != c.blind {
				t.Errorf("with %+v, GET %s says %q: %v, want %v", c.outage.Outages, path, want, got, c.blind)
			}
		}
		if got := body(w.get("/tasks/1400000001/music-4d")); strings.Contains(got, "Status unknown") {
			t.Errorf("with %+v, an ended push is blind:\n%s", c.outage.Outages, got)
		}
	}
}
