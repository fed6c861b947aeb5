package page_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hang is how long something may take that takes no time: longer means never.
const hang = time.Minute

// A chrome is a Chromium that is driven by the DevTools protocol over a pipe:
// messages are JSON, with a zero byte after each.
// https://chromedevtools.github.io/devtools-protocol/
type chrome struct {
	pipe *os.File

	mu      sync.Mutex
	last    int
	answers map[int]chan answer
	tabs    map[string]*tab // by session
	gone    error           // why there are no more answers
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// startChrome starts a browser for the time of a test. Where there is none the
// test is skipped, but never in the gate, which installs it.
func startChrome(t testing.TB) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("this test drives Debian's chromium, which is not installed")
	}
	toChrome, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	messages, fromChrome, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // outlives the test's, for its cleanups
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, path, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-dev-shm-usage",
		"--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--force-color-profile=srgb", "--user-data-dir="+home)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home)
	cmd.ExtraFiles = []*os.File{toChrome, fromChrome} // 3 and 4 there
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toChrome.Close()
	fromChrome.Close()
	c := &chrome{pipe: commands, answers: make(map[int]chan answer), tabs: make(map[string]*tab)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(messages)
	}()
	t.Cleanup(func() {
		c.send("", "Browser.close", nil)
		select {
		case <-read:
		case <-time.After(10 * time.Second):
		}
		cancel()
		cmd.Wait()
		messages.Close()
		commands.Close()
	})
	return c
}

// read takes in what the browser says until it ends.
func (c *chrome) read(from *os.File) {
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := lines.ReadBytes(0)
		var m struct {
			answer
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
		}
		if err == nil {
			err = json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m)
		}
		c.mu.Lock()
		if err != nil {
			c.gone = fmt.Errorf("chromium says nothing more: %w", err)
			for _, waits := range c.answers {
				close(waits)
			}
			c.answers = nil
			c.mu.Unlock()
			return
		}
		if waits, ok := c.answers[m.ID]; ok {
			delete(c.answers, m.ID)
			waits <- m.answer
		}
		tab := c.tabs[m.SessionID]
		c.mu.Unlock()
		if tab != nil && m.Method != "" {
			tab.hear(m.Method, m.Params)
		}
	}
}

// send sends a command and returns where its answer will be.
func (c *chrome) send(session, method string, params any) (<-chan answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil, c.gone
	}
	c.last++
	command := map[string]any{"id": c.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if session != "" {
		command["sessionId"] = session
	}
	text, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	waits := make(chan answer, 1)
	c.answers[c.last] = waits
	_, err = c.pipe.Write(append(text, 0))
	return waits, err
}

// call sends a command and reads its answer.
func (c *chrome) call(session, method string, params, result any) error {
	waits, err := c.send(session, method, params)
	if err != nil {
		return err
	}
	select {
	case a, ok := <-waits:
		switch {
		case !ok:
			return c.gone
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-time.After(hang):
		return fmt.Errorf("%s: no answer within %s", method, hang)
	}
}

type params = map[string]any

// A tab is a page of the browser with cookies of its own.
type tab struct {
	testing.TB
	chrome  *chrome
	session string
	origin  string

	mu       sync.Mutex
	loaded   int      // how often a page was
	trouble  []string // errors on the console and uncaught ones
	requests []string // addresses
}

// open opens a tab at an origin. What it meets that it should not fails the test
// when it ends.
func (c *chrome) open(t testing.TB, origin string) *tab {
	t.Helper()
	tb := &tab{TB: t, chrome: c, origin: origin}
	var context struct{ BrowserContextID string }
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	for _, step := range []struct {
		method string
		params func() any
		result any
	}{
		{"Target.createBrowserContext", func() any { return params{"disposeOnDetach": true} }, &context},
		{"Target.createTarget", func() any { return params{"url": "about:blank", "browserContextId": context.BrowserContextID} }, &target},
		{"Target.attachToTarget", func() any { return params{"targetId": target.TargetID, "flatten": true} }, &attached},
	} {
		if err := c.call("", step.method, step.params(), step.result); err != nil {
			t.Fatal(err)
		}
	}
	tb.session = attached.SessionID
	c.mu.Lock()
	c.tabs[tb.session] = tb
	c.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Network", "Log", "Accessibility"} {
		tb.do(domain+".enable", nil, nil)
	}
	tb.size(1280, 900)
	t.Cleanup(func() {
		c.call("", "Target.closeTarget", params{"targetId": target.TargetID}, nil)
		tb.mu.Lock()
		defer tb.mu.Unlock()
		for _, text := range tb.trouble {
			t.Errorf("the browser complains: %s", text)
		}
		for _, address := range tb.requests {
			if u, err := url.Parse(address); err != nil || u.Scheme+"://"+u.Host != origin {
				t.Errorf("the page asks for %s, want nothing from elsewhere", address)
			}
		}
	})
	return tb
}

// browse serves a world over a socket and opens a tab there.
func (c *chrome) browse(t testing.TB, w *world) *tab {
	t.Helper()
	server := httptest.NewServer(w)
	t.Cleanup(server.Close) // after the tab, which has a stream open
	return c.open(t, server.URL)
}

// hear takes in an event of the tab.
func (tb *tab) hear(method string, text json.RawMessage) {
	var e struct {
		Request struct{ URL string }
		Type    string
		Entry   struct{ Level, Text, URL string }
		Args    []struct{ Value any }

		ExceptionDetails struct{ Exception struct{ Description string } }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		e.Type = "error" // it will be seen
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch method {
	case "Page.loadEventFired":
		tb.loaded++
	case "Network.requestWillBeSent":
		if !strings.HasPrefix(e.Request.URL, "about:") {
			tb.requests = append(tb.requests, e.Request.URL)
		}
	case "Log.entryAdded":
		if e.Entry.Level == "error" {
			tb.trouble = append(tb.trouble, e.Entry.Text+" "+e.Entry.URL)
		}
	case "Runtime.consoleAPICalled":
		if e.Type == "error" || e.Type == "warning" {
			tb.trouble = append(tb.trouble, fmt.Sprint(e.Args))
		}
	case "Runtime.exceptionThrown":
		tb.trouble = append(tb.trouble, e.ExceptionDetails.Exception.Description)
	}
}

// expect drops the complaints with a text, of which there has to be one.
func (tb *tab) expect(text string) {
	tb.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	before := len(tb.trouble)
	tb.trouble = slices.DeleteFunc(tb.trouble, func(s string) bool { return strings.Contains(s, text) })
	if len(tb.trouble) == before {
		tb.Errorf("the browser did not complain of %q", text)
	}
}

func (tb *tab) do(method string, in any, out any) {
	tb.Helper()
	if err := tb.chrome.call(tb.session, method, in, out); err != nil {
		tb.Fatal(err)
	}
}

// goTo opens a path and waits until all of it is there.
func (tb *tab) goTo(path string) {
	tb.Helper()
	tb.loading(func() { tb.do("Page.navigate", params{"url": tb.origin + path}, nil) })
}

// loading does what leads to another page, and waits until that is there.
func (tb *tab) loading(do func()) {
	tb.Helper()
	count := func() int {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		return tb.loaded
	}
	before := count()
	do()
	for begin := time.Now(); count() == before; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > hang {
			tb.Fatal("no page is loaded")
		}
	}
}

// eval returns the value of an expression, as JSON has it.
func (tb *tab) eval(expression string) any {
	tb.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	tb.do("Runtime.evaluate", params{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		tb.Fatalf("eval(%s) = %s", expression, out.ExceptionDetails.Exception.Description)
	}
	return out.Result.Value
}

// until waits for an expression to be true.
func (tb *tab) until(expression string) {
	tb.Helper()
	for begin := time.Now(); tb.eval("!!("+expression+")") != true; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > hang {
			tb.Fatalf("%s is never true on %v:\n%.3000v", expression, tb.eval("location.href"), tb.eval("document.body.innerText"))
		}
	}
}

// click clicks on an element that leads to another page.
func (tb *tab) click(selector string) {
	tb.Helper()
	tb.loading(func() { tb.eval(fmt.Sprintf("document.querySelector(%q).click()", selector)) })
}

// press presses a key.
func (tb *tab) press(key string, code int, text string) {
	tb.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		in := params{"type": kind, "key": key, "windowsVirtualKeyCode": code}
		if kind == "keyDown" && text != "" {
			in["text"] = text
		}
		tb.do("Input.dispatchKeyEvent", in, nil)
	}
}

// size makes the window as wide and high as that of a desktop or a phone.
func (tb *tab) size(width, height int) {
	tb.Helper()
	tb.do("Emulation.setDeviceMetricsOverride", params{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// theme has the page be light or dark.
func (tb *tab) theme(name string) {
	tb.Helper()
	tb.do("Emulation.setEmulatedMedia", params{"features": []params{
		{"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

// picture returns what the window shows, as a PNG.
func (tb *tab) picture() []byte {
	tb.Helper()
	var out struct{ Data string }
	tb.do("Page.captureScreenshot", params{"format": "png"}, &out)
	data, err := base64.StdEncoding.DecodeString(out.Data)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
