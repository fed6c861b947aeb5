package page_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// hang is how long something may take that takes no time: longer means never. A loaded
// machine may take some of it.
const hang = 3 * time.Minute

// A chrome is a running Chromium.
type chrome struct{ ctx context.Context }

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
	home := t.TempDir()
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], // outlives the test's context, for its cleanups
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(home), chromedp.Env("HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home))...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		within, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		chromedp.Cancel(within)
	})
	return &chrome{ctx}
}

// A tab is a page of the browser with cookies of its own.
type tab struct {
	testing.TB
	ctx    context.Context
	origin string

	mu       sync.Mutex
	errors   []string // on the console, and uncaught ones
	requests []string // addresses
}

// open opens a tab at an origin. When the test ends, it fails if the tab reported an
// error or requested anything from another origin.
func (c *chrome) open(t testing.TB, origin string) *tab {
	t.Helper()
	tb := &tab{TB: t, origin: origin}
	ctx, _ := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tb.hear))
	tb.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	tb.size(1280, 900)
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		tb.mu.Lock()
		defer tb.mu.Unlock()
		for _, text := range tb.errors {
			t.Errorf("the browser reports: %s", text)
		}
		for _, address := range tb.requests {
			if address != origin && !strings.HasPrefix(address, origin+"/") {
				t.Errorf("the page requests %s, want nothing from elsewhere", address)
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

// hear records an event of the tab.
func (tb *tab) hear(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		// The browser's own widgets have icons in data URLs. The page's policy forbids them.
		if !strings.HasPrefix(e.Request.URL, "about:") && !strings.HasPrefix(e.Request.URL, "data:") {
			tb.requests = append(tb.requests, e.Request.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			tb.errors = append(tb.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var text strings.Builder
			text.WriteString(string(e.Type))
			for _, arg := range e.Args {
				text.WriteString(" " + string(arg.Value) + arg.Description)
			}
			tb.errors = append(tb.errors, text.String())
		}
	case *runtime.EventExceptionThrown:
		tb.errors = append(tb.errors, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	}
}

// expect drops the errors with a text, of which there has to be one.
func (tb *tab) expect(text string) {
	tb.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	before := len(tb.errors)
	tb.errors = slices.DeleteFunc(tb.errors, func(s string) bool { return strings.Contains(s, text) })
	if len(tb.errors) == before {
		tb.Errorf("the browser did not report %q", text)
	}
}

// run runs an action in a tab.
func run[T any](tb *tab, action chromedp.Action[T]) T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, hang)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

// call sends a command of the DevTools protocol to a tab.
func call[P, R any](tb *tab, command cdp.Command[P, R], params P) R {
	tb.Helper()
	return run(tb, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, command, params) })
}

// goTo opens a path and waits until it is loaded.
func (tb *tab) goTo(path string) {
	tb.Helper()
	run(tb, chromedp.Navigate(tb.origin+path))
}

// loading does what leads to another page, and waits until that is loaded.
func (tb *tab) loading(action chromedp.Action[chromedp.Void]) {
	tb.Helper()
	run(tb, func(ctx context.Context, _ *chromedp.Target) (*network.Response, error) {
		return chromedp.RunResponse(ctx, action)
	})
}

// eval returns the value of an expression, as JSON has it.
func (tb *tab) eval(expression string) any {
	tb.Helper()
	return run(tb, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise))
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
	tb.loading(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).click()", selector)))
}

// size makes the window as wide and high as that of a desktop or a phone.
func (tb *tab) size(width, height int) {
	tb.Helper()
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(width), Height: int64(height), DeviceScaleFactor: 1, Mobile: width < 600})
}

// theme makes the page light or dark.
func (tb *tab) theme(name string) {
	tb.Helper()
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// offline cuts a tab off from the network, or connects it again.
func (tb *tab) offline(is bool) {
	tb.Helper()
	call(tb, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: is, DownloadThroughput: -1, UploadThroughput: -1}}})
	call(tb, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: is, DownloadThroughput: -1, UploadThroughput: -1})
}

// scripts turns the page's scripts on or off.
func (tb *tab) scripts(on bool) {
	tb.Helper()
	call(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// picture returns what the window shows, as a PNG.
func (tb *tab) picture() []byte {
	tb.Helper()
	return run(tb, chromedp.CaptureScreenshot())
}

// cookie sets a cookie as the server does.
func (tb *tab) cookie(name, value string) {
	tb.Helper()
	call(tb, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: tb.origin})
}
