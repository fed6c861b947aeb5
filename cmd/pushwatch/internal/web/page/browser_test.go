package page_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestBrowser looks at the page through a real browser. In each tab nothing may be
// asked for from elsewhere, and no error may come to the console.
func TestBrowser(t *testing.T) {
	t.Parallel()
	c := startChrome(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *chrome)
	}{
		{"Banner", testBanner},
		{"Live", testLive},
		{"Chart", testChart},
		{"Gone", testGone},
		{"Fault", testFault},
		{"Filters", testFilters},
		{"Actions", testActions},
		{"Preferences", testPreferences},
		{"Selection", testSelection},
		{"WithoutScript", testWithoutScript},
		{"Accessible", testAccessible},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, c)
		})
	}
}

// text is what a part of the view says.
func (tb *tab) text(selector string) string {
	tb.Helper()
	return fmt.Sprint(tb.eval(fmt.Sprintf("document.querySelector(%q)?.innerText", selector)))
}

// testBanner shows each status, the second one to a view that is open, which updates by
// itself.
func testBanner(t *testing.T, c *chrome) {
	w := newWorld(t)
	tb := c.browse(t, w)
	tb.goTo("/")
	slow := fine("college")
	slow.Granted = 12
	crowded := fine("college")
	crowded.Round, crowded.Overloaded = 2*time.Minute, true
	full := fine("college")
	full.StoreFailed = time.Now().Add(-time.Minute)
	for i, step := range []struct {
		word     string
		want     []string
		accounts []watcher.AccountStatus
	}{
		{"All pushes visible", []string{"122 live pushes on 1 account"}, []watcher.AccountStatus{fine("school")}},
		{"Slow", []string{"Account college", "beyond 12 a second"}, []watcher.AccountStatus{fine("school"), slow}},
		{"Slow", []string{"Polling all live pushes once takes 2 m"}, []watcher.AccountStatus{crowded}},
		{"Slow", []string{"Account school", "Recent polls failed.", "AuthFailure"}, []watcher.AccountStatus{blindAccount("school", 0, 10*time.Second, false)}},
		{"Partly blind", []string{"Application 1400000001 of account school", "AuthFailure.SecretIdNotFound"}, []watcher.AccountStatus{blindAccount("school", app, time.Hour, true)}},
		{"Partly blind", []string{"Account school", "The last observation was at"}, []watcher.AccountStatus{blindAccount("school", 0, time.Hour, true), slow}},
		{"Partly blind", []string{"Account college", "Status unknown for 244 of 366 live pushes."}, []watcher.AccountStatus{blindAccount("school", 0, time.Hour, true), blindAccount("college", app, time.Hour, true), slow}},
		{"Partly blind", []string{"Account college", "The database fails"}, []watcher.AccountStatus{fine("school"), full}},
		{"Blind", []string{"Status unknown for 122 live pushes since", "1 h ago", "The last observation was at", "Account school"}, []watcher.AccountStatus{blindAccount("school", 0, time.Hour, true)}},
		{"Watching no account", []string{"This process watches no account"}, nil},
		{"All pushes visible", []string{"122 live pushes on 1 account"}, []watcher.AccountStatus{fine("school")}},
	} {
		w.show(step.accounts...)
		if i != 1 { // then the view updates by itself
			tb.goTo("/")
		}
		tb.until(fmt.Sprintf("document.querySelector('h1').innerText === %q && %s", step.word, says("#banner", step.want...)))
		if chip := tb.text("#chip"); chip != cmp.Or(map[string]string{"All pushes visible": "OK"}[step.word], step.word) {
			t.Errorf("the header says %q, want %q", chip, step.word)
		}
		if title := fmt.Sprint(tb.eval("document.title")); strings.HasPrefix(title, step.word) != (step.word != "All pushes visible" && step.word != "Watching no account") {
			t.Errorf("the title is %q while the banner says %q", title, step.word)
		}
	}
}

// says is true where a part of the view has all the texts.
func says(selector string, texts ...string) string {
	conditions := []string{"true"}
	for _, text := range texts {
		conditions = append(conditions, fmt.Sprintf("document.querySelector(%q).innerText.includes(%q)", selector, text))
	}
	return strings.Join(conditions, " && ")
}

// testLive updates views while they are open, without losing focus and open details.
func testLive(t *testing.T, c *chrome) {
	w := newWorld(t)
	tb := c.browse(t, w)
	tb.goTo("/events")
	tb.until(says("#list", "No event yet."))
	task := w.register("math-3b", time.Minute, map[string]string{"course": hostile})
	task = w.happen(task, seen{kind: watcher.PushPreparing})
	tb.until(says("#list", "push.preparing", "math-3b", "<script>alert(1)</script>"))
	tb.eval("document.querySelector('#list a').focus()")
	task = w.happen(task, seen{kind: watcher.PushStarted, push: pushing(time.Minute, 0)})
	tb.until(says("#list", "push.preparing", "push.started"))
	if got := tb.eval("document.activeElement.closest('li').innerText.includes('push.preparing')"); got != true {
		t.Error("the focus has not stayed with the event that had it")
	}

	tb.goTo("/tasks/" + task.Key.String())
	tb.eval("document.querySelector('details').open = true")
	task = w.happen(task, seen{kind: watcher.PushException, push: pushing(time.Minute, 1)})
	tb.until(says("#line", "push.exception"))
	tb.until("document.querySelectorAll('.timeline .mark').length === 3")
	if tb.eval("document.querySelector('details').open") != true {
		t.Error("open details are closed again")
	}
	w.happen(task, seen{kind: watcher.PushFailed, push: ended(time.Minute, 0, "EXCEPTION")})
	tb.until(says("#head", "failed", "EXCEPTION"))
	tb.until("document.querySelector('#actions form[action$=reopen]') && !document.querySelector('#actions form[action$=poll]')")
	tb.until(says("#delivered", "oncall"))
}

// testChart shows the charts of an account's last hour, and changes them while they are
// open.
func testChart(t *testing.T, c *chrome) {
	w := newWorld(t)
	a := fine("school")
	a.Staleness = 2 * time.Minute
	for ago := 39 * time.Minute; ago > 21*time.Minute; ago -= 15 * time.Second {
		w.history.Sample(time.Now().Add(-ago), []watcher.AccountStatus{a})
	}
	a.Staleness, a.Starts.Seen = 30*time.Second, 0
	w.show(a)
	tb := c.browse(t, w)
	tb.goTo("/accounts/school")
	label := func(n int) string {
		return fmt.Sprint(tb.eval(fmt.Sprintf("document.querySelectorAll('.chart svg[role]')[%d].getAttribute('aria-label')", n)))
	}
	for i, want := range []string{
		"Polls a second: made 12, granted 20, allowed 20. In the last hour: made 12 to 12, granted 20 to 20.",
		"Oldest observation: old 30 s, promised 1 m. In the last hour: old 30 s to 2 m.",
		"Delay of starts: seen none, expected 900 ms. In the last hour: seen 1.1 s to 1.1 s, expected 900 ms to 900 ms.",
		"Delay of stops: seen 2.1 s, expected 2.4 s. In the last hour: seen 2.1 s to 2.1 s, expected 2.4 s to 2.4 s.",
	} {
		if got := label(i); got != want {
			t.Errorf("picture %d says %q, want %q", i, got, want)
		}
	}
	if got := tb.text(".legend"); !strings.HasPrefix(got, "not known before ") || !strings.HasSuffix(got, ", at times") {
		t.Errorf("what is not known is shown as %q", got)
	}
	// Where things are, in parts of the hour and of the picture's height.
	place := func(selector string) [4]float64 {
		text := fmt.Sprintf(`(() => {
			const box = document.querySelectorAll(".chart svg[role]")[1].getBoundingClientRect();
			const r = document.querySelectorAll(".chart svg[role]")[1].querySelector(%q).getBoundingClientRect();
			return [(r.left - box.left) / box.width, (r.right - box.left) / box.width, (box.bottom - r.bottom) / box.height, (box.bottom - r.top) / box.height];
		})()`, selector)
		var p [4]float64
		for i, f := range tb.eval(text).([]any) {
			p[i] = f.(float64)
		}
		return p
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > .03 {
			t.Errorf("%s is at %.3f, want %.3f", what, got, want)
		}
	}
	promised := place(".limit")
	near("the promised line", promised[2], .5/1.08)
	near("its end", promised[1], 1)
	near("the beginning of what is known", place("rect.unknown")[1], 21./60)
	near("the end of what was known", place("rect.unknown:nth-of-type(2)")[0], 39./60)
	near("the oldest observation, at its oldest,", place(".area")[3], 1/1.08)
	for i := range 4 {
		box := fmt.Sprintf("(() => { const r = document.querySelectorAll('.chart svg[role]')[%d].getBoundingClientRect(); return r.left + ' ' + r.width; })()", i)
		if got, want := tb.eval(box), tb.eval(strings.Replace(box, fmt.Sprintf("[%d]", i), fmt.Sprintf("[%d]", i%2), 1)); got != want {
			t.Errorf("panel %d lies at %v, want the axis of the one above it, %v", i, got, want)
		}
	}

	tb.eval("document.querySelector('.chart summary').click()")
	rows := func() string { return tb.text(".chart tbody") }
	if got := strings.Join(strings.Fields(rows()), " "); got != "60–50 not known 50–40 not known 40–30 12 of 20 2 m 1.1 s 900 ms 2.1 s 2.4 s 30–20 12 of 20 2 m 1.1 s 900 ms 2.1 s 2.4 s 20–10 not known 10–0 12 of 20 30 s none 900 ms 2.1 s 2.4 s" {
		t.Errorf("in figures: %s", got)
	}
	drawn := tb.eval("document.querySelectorAll('.chart path.area')[1].getAttribute('d')")
	a.Staleness = 4 * time.Minute
	w.show(a)
	task := w.happen(w.register("math-3b", time.Minute, nil), seen{kind: watcher.PushPreparing}) // sooner than a view without news is asked for
	tb.until(says(".chart", "4 m old"))
	tb.until(fmt.Sprintf("document.querySelectorAll('.chart path.area')[1].getAttribute('d') !== %q", drawn))
	if got := label(1); !strings.Contains(got, "old 30 s to 4 m") && !strings.Contains(got, "old 2 m to 4 m") {
		t.Errorf("the picture that has changed says %q", got)
	}
	if tb.eval("document.querySelector('.chart details').open") != true || !strings.Contains(rows(), "4 m") {
		t.Errorf("the figures have not followed: %s", rows())
	}

	a.Member, a.Unheard = "node-2", time.Now().Add(-time.Minute)
	w.show(a)
	w.happen(task, seen{kind: watcher.PushStarted})
	tb.until(says(".chart", "? made", "? old", "since "))
	tb.until(says("#why", "process node-2, which watched it, does not respond"))
}

// testGone cuts an open view off from the daemon, and connects it again.
func testGone(t *testing.T, c *chrome) {
	w := newWorld(t)
	tb := c.browse(t, w)
	tb.goTo("/")
	tb.until("document.getElementById('pulse').hidden")
	tb.offline(true)
	tb.until("document.getElementById('pulse').innerText.startsWith('pushwatch does not answer. This view is from ')")
	tb.offline(false)
	tb.until("document.getElementById('pulse').hidden")
	tb.expect("ERR_INTERNET_DISCONNECTED")
}

// testFault closes the database of an open view: the view stays, and says how old it is.
func testFault(t *testing.T, c *chrome) {
	w := newWorld(t)
	w.register("math-3b", time.Minute, nil)
	tb := c.browse(t, w)
	tb.goTo("/tasks")
	tb.until(says("#list", "math-3b"))
	w.db.Close()
	tb.until("/^(?!pushwatch).* This view is from /.test(document.getElementById('pulse').innerText)")
	if got := tb.text("#list"); !strings.Contains(got, "math-3b") {
		t.Errorf("the list says %q, want what was seen last", got)
	}
	tb.expect("503")
}

// testFilters uses the list of pushes: states, search, pages.
func testFilters(t *testing.T, c *chrome) {
	w := newWorld(t)
	w.story()
	for i := range 120 {
		w.register(fmt.Sprintf("class-%03d", i), time.Duration(i)*time.Second, map[string]string{"group": []string{"even", "odd"}[i%2]})
	}
	tb := c.browse(t, w)
	tb.goTo("/tasks")
	ids := func() (ids []string) {
		for _, id := range tb.eval("[...document.querySelectorAll('tbody th .id')].map((a) => a.innerText)").([]any) {
			ids = append(ids, fmt.Sprint(id))
		}
		return ids
	}
	var all []string
	for pages := 1; ; pages++ {
		all = append(all, ids()...)
		if tb.eval("document.querySelector('[rel=next]') === null") == true {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		tb.click("[rel=next]")
	}
	if len(all) != 122 || all[0] != "class-000" || all[120] != "class-119" || all[121] != "math-3b" {
		t.Errorf("live pushes in pages = %d %v, want 122, the newest first", len(all), all)
	}

	tb.click(".tabs a:nth-child(6)")
	if got := ids(); !slices.Equal(got, []string{"mistyped", "music-4d", "physics-2a"}) {
		t.Errorf("ended pushes = %v", got)
	}
	tb.click(".tabs a:last-child")
	tb.eval("document.querySelector('[name=id]').value = '-00'; document.querySelector('[name=label]').value = 'group:odd'")
	tb.click(".filter button")
	if got := ids(); !slices.Equal(got, []string{"class-001", "class-003", "class-005", "class-007", "class-009"}) {
		t.Errorf("pushes that contain -00 of group odd = %v", got)
	}
	if state := tb.text(".tabs [aria-current]"); state != "all" {
		t.Errorf("the search has left the state all for %s", state)
	}

	tb.goTo("/events")
	tb.eval("document.querySelector('select').value = 'push.failed'")
	tb.click(".filter button")
	if got := tb.text("#list"); !strings.Contains(got, "physics-2a") || strings.Contains(got, "math-3b") {
		t.Errorf("failed = %s", got)
	}
}

// testActions acts as an operator does, by keyboard where that differs, and then reads as
// a user with read-only access does.
func testActions(t *testing.T, c *chrome) {
	w := newWorld(t, reader, writer)
	w.story()
	w.mu.Lock()
	w.refuse = &notify.SendError{Reason: "answer 400 " + hostile, Final: true, Err: errors.New("400")}
	w.mu.Unlock()
	w.happen(w.register("lost", time.Minute, nil), seen{kind: watcher.PushStopped})
	tb := c.browse(t, w)

	// In, by keyboard alone.
	tb.goTo("/tasks/1400000001/math-3b")
	if got := tb.eval("location.pathname"); got != "/signin" {
		t.Fatalf("shown %v without a token", got)
	}
	const focused = "document.activeElement?.matches('input')"
	tb.until(focused)
	tb.loading(chromedp.KeyEvent("wrong" + kb.Enter))
	tb.expect("401")
	if got := tb.text("main"); !strings.Contains(got, "No token in the settings has this secret.") {
		t.Errorf("after a wrong token: %s", got)
	}
	tb.until(focused)
	tb.loading(chromedp.KeyEvent("write-write-write" + kb.Enter))
	if got := tb.eval("location.pathname"); got != "/tasks/1400000001/math-3b" {
		t.Fatalf("signed in, shown %v", got)
	}
	if cookies := tb.eval("document.cookie"); cookies != "" {
		t.Errorf("scripts see the cookies %v", cookies)
	}
	run(tb, chromedp.KeyEvent(kb.Tab))
	if got := tb.eval("document.activeElement.innerText"); got != "Skip to the content" {
		t.Errorf("the first Tab leads to %v", got)
	}

	tb.click("#actions form[action$=poll] button")
	if got := tb.text(".done"); !strings.Contains(got, "polled as soon as") || len(w.polled) != 1 {
		t.Errorf("Poll now says %q and polls %v", got, w.polled)
	}
	tb.goTo("/notifiers")
	tb.until(says("#notifier-classroom", "Failed", "1", "answer 400 <script>"))
	tb.click("#notifier-classroom form[action$=pause] button")
	tb.until(says("#notifier-classroom", "paused", "Resume"))
	tb.click("#notifier-classroom form[action$=resume] button")
	tb.until(says("#notifier-classroom", "active"))
	w.mu.Lock()
	w.refuse = nil
	w.mu.Unlock()
	tb.until("document.querySelector('#notifier-classroom form[action$=replay] button')") // the counts are some seconds old
	tb.click("#notifier-classroom form[action$=replay] button")
	tb.goTo("/deliveries?notifier=classroom")
	tb.until("!document.querySelector('#list .bad') && !document.querySelector('#list .odd')")
	tb.click("#list tbody th a")
	tb.until(says("#detail", "204"))
	tb.goTo("/tasks/1400000001/math-3b")
	tb.eval("document.querySelector('summary').click()")
	tb.click("details button")
	if got := tb.text(".done"); !strings.Contains(got, "no longer watched") {
		t.Errorf("Stop watching says %q", got)
	}
	tb.click("form[action='/signout'] button")
	if got := tb.eval("location.pathname"); got != "/signin" {
		t.Errorf("signed out, shown %v", got)
	}

	tb.eval("document.querySelector('#token').focus()")
	tb.loading(chromedp.KeyEvent("read-read-read-read" + kb.Enter))
	for _, path := range []string{"/tasks/1400000001/music-4d", "/notifiers", "/deliveries/dlv_1_1"} {
		tb.goTo(path)
		if n := tb.eval("document.querySelectorAll('main form').length"); n != 0.0 {
			t.Errorf("%s has %v actions for somebody who may only look", path, n)
		}
	}
	tb.eval("fetch('/tasks/1400000001/music-4d/reopen', {method: 'POST', headers: {Accept: 'text/html'}, body: new URLSearchParams()}).then((r) => r.status)")
	tb.expect("403")
	tb.goTo("/events")
	w.happen(w.register("after", time.Minute, nil), seen{kind: watcher.PushStarted}) // the stream is for readers too
	tb.until(says("#list", "after"))
}

// testPreferences shows times in the browser's zone and then in UTC, and another language.
func testPreferences(t *testing.T, c *chrome) {
	w := newWorld(t)
	w.story()
	tb := c.browse(t, w)
	call(tb, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Australia/Eucla"})
	tb.goTo("/events")
	tb.until(says("footer", "Australia/Eucla (UTC+08:45)"))
	const first = "document.querySelector('#list time')"
	at, err := time.Parse(time.RFC3339, fmt.Sprint(tb.eval(first+".title")))
	if err != nil {
		t.Fatalf("the tooltip of a time is %v, want it in UTC", err)
	}
	tb.until(fmt.Sprintf("%s.innerText.endsWith(%q)", first, at.Add(8*time.Hour+45*time.Minute).Format("15:04:05")))
	if cookies := tb.eval("document.cookie"); cookies != "" {
		t.Errorf("scripts see the cookies %v", cookies)
	}
	tb.click("footer button[value='UTC:0']")
	tb.until(says("footer", "Time zone: UTC"))
	tb.until(fmt.Sprintf("%s.innerText.endsWith(%q)", first, at.Format("15:04:05")))
	tb.click("footer button[value=zh-CN]")
	if got := tb.eval("location.pathname + document.documentElement.lang"); got != "/eventszh-CN" {
		t.Errorf("after a choice of language, shown %v, want the same view in Chinese", got)
	}
	if got := tb.text("h1"); got != "事件" {
		t.Errorf("the heading is %q", got)
	}
	tb.click("footer button[value='']")
	tb.until(says("footer", "Australia/Eucla"))
}

// testSelection copies an id, and polls all pushes of a list.
func testSelection(t *testing.T, c *chrome) {
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c"} {
		w.register(id, time.Minute, nil)
	}
	tb := c.browse(t, w)
	tb.goTo("/tasks")
	tb.eval("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
	tb.eval("document.querySelector('tbody tr:nth-child(2) .copy').click()")
	tb.until("window.copied === 'b'")
	tb.eval("document.querySelector('.pick-all').click()")
	w.register("d", 0, nil)
	w.happen(w.register("e", 0, nil), seen{kind: watcher.PushPreparing})
	tb.until("document.querySelectorAll('tbody tr').length === 5") // what is selected stays so while the list changes
	if got := tb.eval("[...document.querySelectorAll('tbody :checked')].map((box) => box.value).join()"); got != "1400000001/c,1400000001/b,1400000001/a" {
		t.Errorf("selected are %v, want those that were listed", got)
	}
	tb.click("#selected [value=poll]")
	if got := tb.text(".done"); !strings.HasPrefix(got, "3 pushes are polled") || len(w.polled) != 3 {
		t.Errorf("polling the selected says %q and polls %v", got, w.polled)
	}
}

// testWithoutScript checks that views are complete without the script.
func testWithoutScript(t *testing.T, c *chrome) {
	w := newWorld(t)
	w.story()
	tb := c.browse(t, w)
	tb.scripts(false)
	tb.goTo("/")
	tb.scripts(true) // for the looking
	if got := tb.text("main"); !strings.Contains(got, "All pushes visible") || !strings.Contains(got, "push.failed") {
		t.Errorf("the overview without a script says %s", got)
	}
	if got := tb.eval("document.querySelectorAll('.sparkline path.area').length"); got != 1.0 {
		t.Errorf("the overview without a script draws %v lines, want 1", got)
	}
	tb.scripts(false)
	tb.goTo("/accounts/school")
	tb.scripts(true)
	if got := tb.eval("document.querySelectorAll('.chart path:is(.area, .seen)').length"); got != 4.0 {
		t.Errorf("an account without a script draws %v lines, want 4", got)
	}
}

// testAccessible measures every view, in both themes, wide and narrow: contrast,
// size of targets, names, headings, and that nothing is wider than the window; in each
// language.
func testAccessible(t *testing.T, c *chrome) {
	w := newWorld(t)
	w.anHour()
	w.story()
	task := w.register("long", time.Minute, map[string]string{"course": hostile, "title": long, "a": "1", "b": "2"})
	w.happen(task, seen{kind: watcher.PushFailed, push: ended(time.Minute, 0, strings.Repeat("x", 256)), err: &watcher.APIError{Code: "FailedOperation.WhiteboardPush", Message: strings.Repeat("long", 100)}})
	blind, slow := blindAccount("school", 0, time.Hour, true), fine("college")
	slow.Granted = 12
	tb := c.browse(t, w)
	for _, view := range []struct {
		path     string
		accounts []watcher.AccountStatus
	}{
		{"/", []watcher.AccountStatus{fine("school")}},
		{"/", []watcher.AccountStatus{blind}},
		{"/", []watcher.AccountStatus{blind, slow}},
		{"/", []watcher.AccountStatus{slow}},
		{"/", nil},
		{"/tasks?state=all", []watcher.AccountStatus{fine("school")}},
		{"/tasks?id=none", []watcher.AccountStatus{fine("school")}},
		{"/tasks/1400000001/math-3b?done=polled", []watcher.AccountStatus{fine("school")}},
		{"/tasks/1400000001/long", []watcher.AccountStatus{fine("school")}},
		{"/tasks/new", []watcher.AccountStatus{fine("school")}},
		{"/accounts/school", []watcher.AccountStatus{fine("school")}},
		{"/accounts/school", []watcher.AccountStatus{blind}},
		{"/events", []watcher.AccountStatus{fine("school")}},
		{"/deliveries", []watcher.AccountStatus{fine("school")}},
		{"/deliveries/dlv_1_1", []watcher.AccountStatus{fine("school")}},
		{"/notifiers", []watcher.AccountStatus{fine("school")}},
	} {
		w.show(view.accounts...)
		for _, language := range []string{"en", "zh-CN"} {
			tb.cookie("pushwatch_language", language)
			tb.goTo(view.path)
			tb.eval("document.querySelectorAll('.chart details').forEach((d) => d.open = true)")
			for _, theme := range []string{"light", "dark"} {
				tb.theme(theme)
				for _, width := range []int{1280, 390, 320} {
					tb.size(width, 900)
					for _, fault := range tb.eval(audit).([]any) {
						t.Errorf("%s with %d accounts, %s, %s, %d wide: %v", view.path, len(view.accounts), language, theme, width, fault)
					}
				}
			}
			if got := tb.eval("document.documentElement.lang"); got != language {
				t.Errorf("%s is in %v, want %s", view.path, got, language)
			}
			if names := tb.nameless(); len(names) > 0 {
				t.Errorf("%s, %s: without a name are %v", view.path, language, names)
			}
		}
	}
}

// audit lists what is hard to read, or wider than the window. The contrast is that
// of WCAG 2.2, which wants 4.5 for text, or 3 where it is large.
// https://www.w3.org/TR/WCAG22/#contrast-minimum
const audit = `(() => {
	const faults = [];
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * x + .7152 * y + .0722 * z; };
	const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; } return [255, 255, 255]; };
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
		if (!text || e.closest(".hidden, .skip, svg, option") || !e.checkVisibility()) continue;
		const style = getComputedStyle(e), size = parseFloat(style.fontSize);
		const a = light(rgba(style.color)), b = light(ground(e));
		const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const enough = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
		if (contrast < enough) faults.push("contrast " + contrast.toFixed(2) + " of " + text.slice(0, 40));
		if (size < 11.9) faults.push(size + " px: " + text.slice(0, 40));
	}
	for (const text of document.querySelectorAll("svg text")) {
		const shape = text.parentElement.querySelector("rect, circle, path");
		const a = light(rgba(getComputedStyle(text).fill)), b = light(shape ? rgba(getComputedStyle(shape).fill) : ground(text.closest(".card")));
		const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (contrast < 4.5) faults.push("contrast " + contrast.toFixed(2) + " of the picture's " + text.textContent);
	}
	if (document.documentElement.scrollWidth > innerWidth) faults.push("it is " + document.documentElement.scrollWidth + " wide");
	for (const target of document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary")) {
		const { width, height } = target.getBoundingClientRect();
		if (!target.checkVisibility() || target.closest(".skip, p:not(.states, .key), caption")) continue; // links within a sentence may be smaller
		if (width < 24 || height < 24) faults.push("a target is " + width + " × " + height + ": " + (target.textContent.trim() || target.getAttribute("aria-label") || target.name));
	}
	if (document.querySelectorAll("h1").length !== 1) faults.push("it has " + document.querySelectorAll("h1").length + " main headings");
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push("the id " + id + " comes twice");
	return faults;
})()`

// nameless lists what a screen reader finds to use or look at and cannot name.
func (tb *tab) nameless() (roles []string) {
	tb.Helper()
	tree := call(tb, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	used := []string{"button", "link", "textbox", "searchbox", "combobox", "image", "img", "heading", "navigation", "table", "DisclosureTriangle", "RootWebArea"}
	found := 0
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = json.Unmarshal(v.Value, &s) // what is no text is none
		}
		return s
	}
	for _, n := range tree.Nodes {
		if n.Ignored || !slices.Contains(used, text(n.Role)) {
			continue
		}
		found++
		if strings.TrimSpace(text(n.Name)) == "" {
			roles = append(roles, text(n.Role))
		}
	}
	if found < 8 {
		tb.Errorf("a screen reader finds %d things to use, want the navigation at least", found)
	}
	return roles
}
