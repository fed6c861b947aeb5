package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

const writeToken = "write-write-write-write"

// An attack holds as many connections as it can get, up to a number, and opens another
// where one is closed.
type attack struct {
	connections int
	request     string // sent on each; then nothing more is
}

// hostile are the attacks of clients at one address, which is that of the probes too. All
// but the batches have no token. They are made when they are used: the daemon of the test runs
// from this file too.
var hostile = sync.OnceValue(func() map[string]attack {
	return map[string]attack{
		"idle connections":               {2500, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"connections without a request":  {2500, ""},
		"half a header of 18 kB":         {2500, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + strings.Repeat("x", 18<<10)},
		"unfinished callbacks of 1 MB":   {1900, unfinished("/v1/callbacks/tiw/1400000001", "", 1<<20, strings.Repeat("x", 100<<10))},
		"unfinished callbacks of 64 kB":  {1900, unfinished("/v1/callbacks/tiw/1400000001", "", 64<<10, strings.Repeat("x", 63<<10))},
		"unfinished forms":               {700, unfinished("/signin", "Accept: text/html\r\n", 4<<10, strings.Repeat("x", 4000))},
		"unfinished tasks":               {700, unfinished("/v1/tasks", "", 1<<20, strings.Repeat("x", 1000))},
		"wrong tokens":                   {500, "GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong-wrong-wrong\r\n\r\n"},
		"batches of 5,000,000 tasks":     {4, finished("/v1/tasks/batch", `{"tasks":[{}`+strings.Repeat(",{}", 5_000_000)+`]}`)},
		"batches of tasks without an id": {4, finished("/v1/tasks/batch", `{"tasks":[{"labels":{"a":"b"}}`+strings.Repeat(`,{"labels":{"a":"b"}}`, 9_999)+`]}`)},
		"objects of 80,000 names":        {4, finished("/v1/tasks/batch", `{"tasks":[{"a":1`+strings.Repeat(`,"abcdef":1`, 80_000)+`}]}`)},
	}
})

// unfinished is a request whose body is longer than what is sent of it.
func unfinished(path, header string, length int, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", path, header, length, body)
}

func finished(path, body string) string {
	return unfinished(path, "Content-Type: application/json\r\nAuthorization: Bearer "+writeToken+"\r\n", len(body), body)
}

// attackersMain attacks an address in the ways that its arguments name, until it is killed.
// It leaves the processor to others: attackers are elsewhere.
func attackersMain() {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		panic(err)
	}
	var first sync.WaitGroup // of the requests of each connection
	attacks, share := os.Args[2:], 1
	if len(attacks) > 1 {
		share = 4 // of the connections: together still more than are kept
	}
	for _, name := range attacks {
		for range hostile()[name].connections / share {
			first.Add(1)
			go hostile()[name].hold(os.Args[1], sync.OnceFunc(first.Done))
		}
	}
	first.Wait()
	fmt.Println("attacking")
	select {}
}

// hold holds a connection, again and again. It calls sent with each request.
func (a attack) hold(address string, sent func()) {
	for ; ; time.Sleep(time.Second) {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			continue
		}
		_, err = io.WriteString(c, a.request)
		sent()
		if err == nil {
			io.Copy(io.Discard, c)
		}
		c.Close()
	}
}

// plainBinary builds the program without the race detector, under which it takes several
// times the memory.
func plainBinary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushwatch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// patience is how long a request may take under attack. On a machine that does nothing
// else it takes less than a second; this one may run other tests.
const patience = 5 * time.Second

// mostMemory is what a daemon may hold under attack, in bytes: it has GOMEMLIMIT=200MiB.
const mostMemory = 250 << 20

// TestHostileClients attacks a daemon that may use 200 MiB, in each way alone and in all
// at once: its memory stays bounded, probes are always answered, and a client with a token
// registers.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	binary := plainBinary(t)
	attack := func(t *testing.T, names ...string) {
		w := withstand(t, binary, time.Second, false, names...)
		t.Logf("%d MiB, %d open files, slowest answers %v, %.1f polls a second", w.memory>>20, w.connections, w.slowest, w.polls)
		if len(names) == 1 && hostile()[names[0]].connections >= 2048 && w.connections < 1000 {
			t.Errorf("the daemon had %d open files: the attack did not take place", w.connections)
		}
		if w.memory > mostMemory {
			t.Errorf("the daemon holds %d MiB, want at most %d", w.memory>>20, mostMemory>>20)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(hostile())) {
		t.Run(name, func(t *testing.T) { attack(t, name) })
	}
	t.Run("all", func(t *testing.T) { attack(t, slices.Collect(maps.Keys(hostile()))...) })
}

// BenchmarkHostileClients reports what a daemon does under each attack of
// [TestHostileClients], under all, and under none: its memory, its polls a second, its
// slowest answers, and how long webhooks take from the answer that shows a change.
//
// The attackers share the machine's processors. So each attack is also aimed elsewhere, at a
// second daemon that watches nothing: what webhooks take longer then is due to the processors,
// and not to connections in the same process.
func BenchmarkHostileClients(b *testing.B) {
	binary := plainBinary(b)
	measure := func(name string, elsewhere bool, attacks ...string) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := withstand(b, binary, 20*time.Second, elsewhere, attacks...)
				slices.Sort(w.webhooks)
				if len(w.webhooks) < 100 {
					b.Fatalf("%d webhooks, want at least 100", len(w.webhooks))
				}
				ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
				b.ReportMetric(float64(w.memory>>20), "MiB")
				b.ReportMetric(w.polls, "polls/s")
				b.ReportMetric(ms(w.slowest["/healthz"]), "healthz-most-ms")
				b.ReportMetric(ms(w.slowest["/v1/tasks"]), "register-most-ms")
				b.ReportMetric(ms(w.webhooks[len(w.webhooks)/2]), "webhook-median-ms")
				b.ReportMetric(ms(w.webhooks[len(w.webhooks)*99/100]), "webhook-p99-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	measure("none", false)
	attack := func(name string, attacks ...string) {
		measure(name, false, attacks...)
		measure(name+" elsewhere", true, attacks...)
	}
	for _, name := range slices.Sorted(maps.Keys(hostile())) {
		attack(name, name)
	}
	attack("all", slices.Collect(maps.Keys(hostile()))...)
}

// A withstood is how a daemon did under attack.
type withstood struct {
	memory      int // the most that was resident, in bytes
	connections int // the most files that were open
	slowest     map[string]time.Duration
	polls       float64 // a second
	webhooks    []time.Duration
}

// withstand runs a daemon under attacks and holds what it owes to others meanwhile. The attacks
// are aimed at it or, for comparison, elsewhere: at another daemon.
func withstand(t testing.TB, binary string, lasts time.Duration, elsewhere bool, attacks ...string) withstood {
	pushes := tiwsim.Life{SDKAppID: 1400000001, TaskID: "class-{n}", Count: 300, PreparedFor: tiwsim.Duration(time.Millisecond)}
	for i := range 60 { // a poll every 15 s finds an exception each time
		pushes.Exceptions = append(pushes.Exceptions, tiwsim.Duration(time.Duration(i)*5*time.Second))
	}
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{pushes}}, notifytest.Config{})
	p, address := serveBounded(t, binary, s.settings+taskTables(pushes))
	target := address
	if elsewhere {
		_, target = serveBounded(t, binary, newScene(t, tiwsim.Config{}, notifytest.Config{}).settings)
	}

	<-s.begun // a new owner is silent for a second
	before, begun := s.tiw.Stats()["school"].Requests, time.Now()
	attacking := func() bool { return true }
	if len(attacks) > 0 {
		attackers := start(t, exec.Command("attackers", append([]string{target}, attacks...)...))
		attacking = func() bool { return strings.Contains(attackers.log.String(), "attacking") }
	}

	w := withstood{slowest: make(map[string]time.Duration)}
	ends := time.Time{}
	for n := 0; ends.IsZero() || time.Now().Before(ends); n++ {
		if ends.IsZero() && attacking() {
			ends = time.Now().Add(lasts)
		}
		w.memory, w.connections = max(w.memory, residentMemory(t, p)), max(w.connections, openFiles(t, p))
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/healthz", "", http.StatusOK},
			{"GET", "/readyz", "", http.StatusOK},
			{"GET", "/metrics", "", http.StatusOK},
			{"POST", "/v1/tasks", fmt.Sprintf(`{"task_id":"new-%d"}`, n), http.StatusCreated},
		} {
			status, took, err := request(c.method, "http://"+address+c.path, c.body, patience)
			if status != c.status {
				t.Errorf("%s %s = %d, %v after %s, want %d within %s", c.method, c.path, status, err, took, c.status, patience)
			}
			w.slowest[c.path] = max(w.slowest[c.path], took)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.memory = max(w.memory, residentMemory(t, p))
	w.polls = float64(s.tiw.Stats()["school"].Requests-before) / time.Since(begun).Seconds()
	for _, d := range s.receiver.Deliveries() {
		if d.At.After(begun) {
			w.webhooks = append(w.webhooks, d.At.Sub(d.Event.Time))
		}
	}
	p.kill()
	return w
}

// serveBounded starts a daemon that may use 200 MiB and whose API needs a token, and returns
// when it can serve.
func serveBounded(t testing.TB, binary, settings string) (p *process, address string) {
	t.Helper()
	address = tcptest.Unused(t)
	cmd := exec.Command(binary, "serve", "--config", settingsFile(t, fmt.Sprintf(
		"store.url = %q\n[http]\nlisten = %q\n[[http.tokens]]\nname = \"backend\"\nrole = \"write\"\nsecret = %q\n%s", sqliteURL(t), address, writeToken, settings)))
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=200MiB")
	p = start(t, cmd)
	awaitReady(t, p, address)
	return p, address
}

// request sends a request over a connection of its own.
func request(method, url, body string, within time.Duration) (status int, took time.Duration, err error) {
	start := time.Now()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+writeToken)
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err == nil {
		status = answer.StatusCode
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	return status, time.Since(start), err
}

// openFiles is how many files a process has open, connections among them.
func openFiles(t testing.TB, p *process) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// residentMemory is the memory of a process, in bytes.
func residentMemory(t testing.TB, p *process) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kilobytes, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
