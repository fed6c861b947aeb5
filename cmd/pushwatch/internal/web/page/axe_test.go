package page_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestAxe has axe-core look at every view of a busy world, in each language, on a desktop
// and a phone, light and dark. The file with axe-core comes from npm: see .ci/run.
func TestAxe(t *testing.T) {
	file := os.Getenv("PUSHWATCH_AXE")
	if file == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PUSHWATCH_AXE does not name the file axe.min.js")
		}
		t.Skip("PUSHWATCH_AXE names no file axe.min.js of axe-core")
	}
	axe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// What does not depend on colors and sizes is looked at once for each language.
	const run = `axe.run(document, { resultTypes: ["violations"], %s }).then(({ violations }) =>
		violations.flatMap(({ id, help, nodes }) => nodes.map((n) => id + ": " + help + ": " + n.html.slice(0, 200))))`
	const rules = `runOnly: ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]`
	w := newWorld(t, reader, writer)
	dead := w.busy()
	c := startChrome(t)
	for _, language := range []string{"en", "zh-CN"} {
		tb := c.browse(t, w)
		tb.cookie("pushwatch_language", language)
		for _, step := range everyView(dead) {
			tb.size(1280, 900)
			tb.theme("light")
			step.open(tb)
			if got := tb.eval("document.documentElement.lang"); got != language {
				t.Errorf("%s is in %v, want %s", step.name, got, language)
			}
			tb.eval("document.querySelectorAll('details').forEach((d) => d.open = true)")
			tb.eval("document.querySelectorAll(':is(.rows tbody, .events) > :nth-child(n + 9)').forEach((row) => row.remove())") // they are all alike
			tb.eval(string(axe))
			for i, look := range []struct {
				width int
				theme string
			}{{1280, "light"}, {1280, "dark"}, {390, "dark"}, {390, "light"}} {
				tb.size(look.width, 900)
				tb.theme(look.theme)
				only := ""
				if i > 0 {
					only = rules
				}
				for _, violation := range tb.eval(fmt.Sprintf(run, only)).([]any) {
					t.Errorf("%s, %s, %s, %d wide: %v", step.name, language, look.theme, look.width, violation)
				}
			}
			if step.fault != "" {
				tb.expect(step.fault)
			}
		}
	}
}

// A step leads to a view.
type step struct {
	name  string
	open  func(*tab)
	fault string // that the browser reports there; empty: none
}

// everyView leads through all views of the busy world, as somebody who signs in with each
// role. dead is the id of a dead delivery.
func everyView(dead string) []step {
	at := func(path string) func(*tab) { return func(tb *tab) { tb.goTo(path) } }
	as := func(secret string) func(*tab) {
		return func(tb *tab) {
			tb.goTo("/")
			if tb.eval("document.querySelector('#token') === null") == true {
				tb.click("form[action='/signout'] button")
			}
			tb.eval(fmt.Sprintf("document.querySelector('#token').value = %q", secret))
			tb.click(".signin button")
		}
	}
	post := func(action, field string) func(*tab) {
		return func(tb *tab) {
			tb.loading(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
				const form = Object.assign(document.createElement("form"), { method: "post", action: %q });
				form.append(Object.assign(document.createElement("input"), { name: %q }));
				document.body.append(form);
				form.submit();
			})()`, action, field)))
		}
	}
	const push = "/tasks/1400000001/"
	return []step{
		{name: "sign-in", open: at("/signin")},
		{name: "wrong token", open: as("wrong"), fault: "401"},
		{name: "read-only overview", open: as("read-read-read-read")},
		{name: "403", open: post(push+"class-001/poll", "none"), fault: "403"},
		{name: "overview", open: as("write-write-write")},
		{name: "account", open: at("/accounts/school")},
		{name: "blind account", open: at("/accounts/college")},
		{name: "pushes", open: at("/tasks?sort=-changed")},
		{name: "ended pushes", open: at("/tasks?state=ended")},
		{name: "no push", open: at("/tasks?id=none")},
		{name: "failed push", open: at(push + "physics-2a?done=polled")},
		{name: "blind push", open: at(push + "class-007")},
		{name: "register form", open: at("/tasks/new")},
		{name: "refused form", open: post("/tasks", "app"), fault: "422"},
		{name: "events", open: at("/events")},
		{name: "404", open: at(push + "none"), fault: "404"},
		{name: "deliveries", open: at("/deliveries")},
		{name: "delivery", open: at("/deliveries/" + dead)},
		{name: "notifiers", open: at("/notifiers")},
	}
}
