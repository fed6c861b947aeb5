package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestWallClock sets the wall clock of a running daemon, hours forward and back.
// That of the machine stays as it is: see [buildWithClock].
func TestWallClock(t *testing.T) {
	t.Parallel()
	path := buildWithClock(t)
	t.Run("everywhere", func(t *testing.T) {
		t.Parallel()
		clockSetEverywhere(t, path)
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		clockSetHere(t, path)
	})
}

const waiting, moving = 20, 16 // pushes that stay PREPARED, and such that come, start and stop, one a second

// clockSetEverywhere has the service's clock set with the daemon's. So no request
// is refused, and nothing but the times that are shown must change.
func clockSetEverywhere(t *testing.T, path string) {
	clock := newWallClock(t)
	s := clockScene(t)
	simAddress, address := tcptest.Unused(t), tcptest.Unused(t)
	s.settings = strings.ReplaceAll(s.settings, s.service, "http://"+simAddress) // the scene has one whose clock stays
	scenario := filepath.Join(t.TempDir(), "scenario.toml")
	if err := os.WriteFile(scenario, []byte(clockScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := clock.start(path, "sim", "--listen", simAddress, "--scenario", scenario)
	p := clock.start(path, "serve", "--config", s.file(t, address, sqliteURL(t)))
	awaitReady(t, p, address)
	planClass(t, address)
	awaitEvents(t, p, s.receiver, waiting)

	for _, hours := range []int8{3, 0, -3, 0} {
		clock.set(hours)
		before, begun := polls(t, address), time.Now()
		time.Sleep(4 * time.Second)
		if pace := (polls(t, address) - before) / time.Since(begun).Seconds(); pace < 10 || pace > 21 {
			t.Errorf("with the clock %d h off: %.1f polls a second, want about 20", hours, pace)
		}
		if got := readiness(address); got != http.StatusOK {
			t.Errorf("with the clock %d h off: /readyz = %d, want %d", hours, got, http.StatusOK)
		}
		noNonsense(t, address)
	}
	awaitMoved(t, p, s.receiver)
	told := count(s.receiver)
	// What was planned by the clock goes by the clock.
	want := map[string]int{"push.preparing": told["push.preparing"], "push.started": moving + 1, "push.stopped": moving, "push.overdue": 1}
	if !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if n := strings.Count(p.log.String(), "wall clock was set"); n != 4 {
		t.Errorf("the log says %d times that the wall clock was set, want 4:\n%s", n, p.log)
	}
	attempts := make(map[string]time.Time)
	for _, d := range s.receiver.Deliveries() {
		if first, again := attempts[d.ID]; again {
			if wait := d.At.Sub(first); wait < 5*time.Second || wait > 30*time.Second {
				t.Errorf("%s of %s is tried again after %v, want 5 s and little more", d.Event.Type, d.Event.Subject, wait)
			}
		}
		attempts[d.ID] = d.At
	}
	sim.Process.Signal(os.Interrupt)
	sim.Wait()
	if !regexp.MustCompile(`at most (1?\d|20) in any second`).MatchString(sim.log.String()) {
		t.Errorf("the service does not say that at most 20 requests came in any second:\n%s", sim.log)
	}
}

// clockSetHere sets the daemon's clock alone. The service refuses what is signed
// then: that is told as such, and never as something that befell a push.
func clockSetHere(t *testing.T, path string) {
	clock := newWallClock(t)
	s := clockScene(t)
	address := tcptest.Unused(t)
	p := clock.start(path, "serve", "--config", s.file(t, address, sqliteURL(t)))
	awaitReady(t, p, address)
	planClass(t, address)
	awaitEvents(t, p, s.receiver, waiting)

	clock.set(3)
	time.Sleep(5 * time.Second)
	noNonsense(t, address)
	clock.set(0)
	awaitMoved(t, p, s.receiver)
	told := count(s.receiver)
	want := map[string]int{"push.preparing": told["push.preparing"], "push.started": moving + 1, "push.stopped": moving, "watcher.blind": 1, "watcher.sighted": 1}
	if !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if !strings.Contains(p.log.String(), "AuthFailure.SignatureExpire") {
		t.Errorf("the log does not say why nothing is seen:\n%s", p.log)
	}
	s.checkLimit(t, 20)
}

// clockScenario has a push that begins before the others and does not end, too.
var clockScenario = fmt.Sprintf(`
[[accounts]]
name = "school"
secret_id = "AKIDschool"
secret_key = "key"
sdk_app_ids = [1400000001]
[[tasks]]
sdk_app_id = 1400000001
task_id = "planned"
prepared_for = "1ms"
[[tasks]]
sdk_app_id = 1400000001
task_id = "waiting-{n}"
count = %d
[[tasks]]
sdk_app_id = 1400000001
task_id = "moving-{n}"
count = %d
spread = "%[2]ds"
prepared_for = "500ms"
pushing_for = "4s"
`, waiting, moving)

// clockScene has the receiver take the starts of two pushes at the second attempt:
// that is due after 5 s, whatever the clock says.
func clockScene(t *testing.T) *scene {
	t.Helper()
	var scenario tiwsim.Config
	if doc := decode("scenario", []byte(clockScenario), &scenario); len(doc.faults) > 0 {
		t.Fatal(doc.sorted(false))
	}
	s := newScene(t, scenario, notifytest.Config{Fail: func(d notifytest.Delivery) notifytest.Answer {
		if d.Event.Type == "push.started" && strings.HasSuffix(d.Event.Subject, "3") && d.Attempt == 1 {
			return notifytest.Answer{Status: http.StatusServiceUnavailable}
		}
		return notifytest.Answer{}
	}})
	s.settings = `
watch.not_found_grace = "10m"
watch.blind_after = "2s"
` + s.settings + taskTables(scenario.Tasks[1:]...) // the first is registered by planClass
	return s
}

// planClass registers a push that is to stop in an hour.
func planClass(t *testing.T, address string) {
	t.Helper()
	body := fmt.Sprintf(`{"sdk_app_id":1400000001,"task_id":"planned","expected_stop_at":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	answer, err := http.Post("http://"+address+"/v1/tasks", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("POST /v1/tasks = %s, want 201", answer.Status)
	}
}

// awaitMoved waits until the stop of every push that moves was told, and judges
// the order and numbers of what was.
func awaitMoved(t *testing.T, p *process, receiver *notifytest.Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	if err := receiver.Wait(ctx, func([]notifytest.Delivery) bool { return count(receiver)["push.stopped"] == moving }); err != nil {
		t.Errorf("not every stop was told: %v\n%s", err, p.log)
	}
	if _, err := receiver.Check(); err != nil {
		t.Error(err)
	}
}

// count counts the events that a receiver was told, by type.
func count(receiver *notifytest.Receiver) map[string]int {
	types, seen := make(map[string]int), make(map[string]bool)
	for _, d := range receiver.Deliveries() {
		if !seen[d.ID] {
			seen[d.ID] = true
			types[d.Event.Type]++
		}
	}
	return types
}

// polls is how many polls that were answered a daemon has made.
func polls(t *testing.T, address string) (n float64) {
	t.Helper()
	const name = `pushwatch_polls_total{account="school",result="ok"} `
	_, after, _ := strings.Cut(fetch(t, address, "/metrics"), name)
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatalf("metric %s: %v", name, err)
	}
	return n
}

// noNonsense holds that the figures that a daemon shows of itself can be.
func noNonsense(t *testing.T, address string) {
	t.Helper()
	for _, line := range regexp.MustCompile(`(?m)^pushwatch_.* -.*$`).FindAllString(fetch(t, address, "/metrics"), -1) {
		t.Errorf("metric %s, want nothing below 0", line)
	}
	var status api.Status
	if err := json.Unmarshal([]byte(fetch(t, address, "/v1/status")), &status); err != nil {
		t.Fatal(err)
	}
	a := status.Accounts[0]
	if a.Used < 0 || a.Used > 21 || a.StalenessSeconds < 0 || a.StalenessSeconds > 60 {
		t.Errorf("status: %v requests a second, %v s stale, want what can be", a.Used, a.StalenessSeconds)
	}
}

// fetch gets a page of a daemon.
func fetch(t testing.TB, address, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, %v", path, answer.Status, err)
	}
	return string(text)
}

// A wallClock is that of the programs that are started with it.
type wallClock struct {
	t    *testing.T
	file string // holds one byte: by how many hours it is wrong
}

func newWallClock(t *testing.T) wallClock {
	c := wallClock{t, filepath.Join(t.TempDir(), "hours")}
	if err := os.WriteFile(c.file, []byte{0}, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c wallClock) set(hours int8) {
	c.t.Helper()
	f, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{byte(hours)}, 0); err != nil {
		c.t.Fatal(err)
	}
}

// start starts a program that buildWithClock has made.
func (c wallClock) start(path string, args ...string) *process {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "WALL_CLOCK_HOURS="+c.file)
	return start(c.t, cmd)
}

// buildWithClock builds pushwatch with a package time whose Now adds to the wall
// clock, and to it alone, as many hours as a file says. It returns the program.
func buildWithClock(t *testing.T) string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for _, c := range []struct{ line, with string }{
		{"\tsec, nsec, mono := runtimeNow()\n", "\tsec += int64(int8(wrongHours[0])) * 3600\n"},
		{"import (\n", "\t\"syscall\"\n"},
	} {
		if n := strings.Count(text, c.line); n != 1 {
			t.Fatalf("%s has the line %q %d times, want once: time.Now has changed, and so must this test", original, c.line, n)
		}
		text = strings.Replace(text, c.line, c.line+c.with, 1)
	}
	text += `
var wrongHours = func() []byte {
	name, _ := syscall.Getenv("WALL_CLOCK_HOURS")
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	hours, err := syscall.Mmap(fd, 0, 1, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return hours
}()
`
	folder := t.TempDir()
	replacement, overlay, program := filepath.Join(folder, "time.go"), filepath.Join(folder, "overlay.json"), filepath.Join(folder, "pushwatch")
	files, err := json.Marshal(map[string]map[string]string{"Replace": {original: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{replacement: []byte(text), overlay: files} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// All of the standard library is built anew, which takes a while the first
	// time: the other tests come first.
	build := exec.CommandContext(t.Context(), "nice", "go", "build", "-race=false", "-overlay", overlay, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	begun := time.Now()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	t.Logf("built in %v", time.Since(begun).Round(time.Second))
	return program
}
