package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestReload has the daemon read its settings again: faulty ones, and others with
// another notifier, another account, a token, and a change that needs a restart.
func TestReload(t *testing.T) {
	t.Parallel()
	scenario := tiwsim.Config{
		Accounts: []tiwsim.Account{
			{Name: "school", SecretID: "AKID1", SecretKey: "key1", SDKAppIDs: []int64{1400000001}},
			{Name: "college", SecretID: "AKID2", SecretKey: "key2", SDKAppIDs: []int64{1400000002}},
		},
		Tasks: []tiwsim.Life{
			{SDKAppID: 1400000001, TaskID: "class", PreparedFor: tiwsim.Duration(time.Nanosecond)},
			{SDKAppID: 1400000002, TaskID: "lecture", PreparedFor: tiwsim.Duration(time.Nanosecond)},
		},
	}
	s := newScene(t, scenario, notifytest.Config{})
	second := notifytest.New(notifytest.Config{})
	webhooks := httptest.NewServer(second)
	defer webhooks.Close()

	address := tcptest.Unused(t)
	school, college := accountTable(scenario.Accounts[0], s.service), accountTable(scenario.Accounts[1], s.service)
	hookA, hookB := notifierTable("a", s.webhook, webhookSecret), notifierTable("b", webhooks.URL, webhookSecret)
	class, lecture := taskTables(scenario.Tasks[0]), taskTables(scenario.Tasks[1])
	base := fmt.Sprintf("[store]\nurl = %q\n", sqliteURL(t))
	file := settingsFile(t, base+fmt.Sprintf("[http]\nlisten = %q\n", address)+school+hookA+class)
	systemd := listenAsSystemd(t)
	cmd := exec.Command("pushwatch", "serve", "--config", file)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+systemd.path)
	p := start(t, cmd)
	awaitReady(t, p, address)
	awaitEvents(t, p, s.receiver, 1)
	systemd.expect("READY=1")

	reload := func(text, level, logged string, fields ...string) logLine {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Process.Signal(syscall.SIGHUP)
		return p.awaitLogged(t, 1, level, logged, fields...)[0]
	}
	reload("[log]\nlevel = \"loud\"\n", "error", "settings rejected", "error", file+`:2:1: log.level = "loud": want debug, info, warn or error`,
		"hint", "the previous settings stay in effect")
	reload("log.level = \"loud\"\nlog.format = \"plain\"\n", "error", "settings rejected", "error", file+`:2:1: log.format = "plain": want json or console`)
	if got := len(p.logged("error", "settings rejected")); got != 5 { // no [[accounts]] either time
		t.Errorf("%d lines of rejected settings, want one for each of five faults:\n%s", got, p.log)
	}
	awaitReady(t, p, address)
	systemd.expect("RELOADING=1", "READY=1", "RELOADING=1", "READY=1")

	const token, other = "a-token-of-some-length", "another-token-of-some-length"
	tokenFile := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token)
	withToken := base + "[http]\nlisten = \"127.0.0.1:1\"\n[[http.tokens]]\nname = \"backend\"\nsecret = { file = \"" + tokenFile + "\" }\nrole = \"write\"\n" +
		school + college + hookB + hookA + class + lecture
	reload(withToken, "info", "settings applied", "accounts", "2", "notifiers", "2")
	if len(p.logged("warn", "settings need a restart", "settings", "[http.listen]")) != 1 {
		t.Errorf("the log does not name the setting that needs a restart:\n%s", p.log)
	}
	systemd.expect("RELOADING=1", "READY=1")
	awaitEvents(t, p, s.receiver, 2) // the lecture's, by the notifier that stayed
	awaitEvents(t, p, second, 1)     // and by the new one
	answers := func(header string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/tasks", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("with %q: answered %d %s, want %d", header, answer.StatusCode, body, want)
		}
	}
	answers("", 401)
	answers("Bearer "+token, 200)
	write(other)
	reload(withToken, "info", "settings unchanged")
	answers("Bearer "+token, 401)
	answers("Bearer "+other, 200)
	systemd.expect("RELOADING=1", "READY=1")

	// An account and a notifier fewer.
	reload(base+college+hookB, "info", "account no longer watched", "account", "school")
	time.Sleep(100 * time.Millisecond)
	requests := s.tiw.Stats()["school"].Requests
	time.Sleep(2500 * time.Millisecond)
	if got := s.tiw.Stats()["school"].Requests; got != requests {
		t.Errorf("%d requests of an account that is gone from the settings", got-requests)
	}
	s.checkLimit(t, 20)
	p.Process.Signal(os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.log)
	}
	systemd.expect("RELOADING=1", "READY=1", "STOPPING=1")

	// The settings were read six times.
	warned := make(map[string]int)
	for _, line := range p.logged("warn", "settings warning") {
		_, text, _ := strings.Cut(fmt.Sprint(line["warning"]), ": warning: ")
		warned[text]++
	}
	if len(warned) == 0 {
		t.Errorf("no warning of settings:\n%s", p.log)
	}
	for text, n := range warned {
		if n != 1 {
			t.Errorf("%q is logged %d times, want once", text, n)
		}
	}
}

// A fakeSystemd hears what a service tells of itself.
type fakeSystemd struct {
	*net.UnixConn
	t    *testing.T
	path string // of the socket
}

// listenAsSystemd returns a systemd that listens at a socket of its own.
func listenAsSystemd(t *testing.T) *fakeSystemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &fakeSystemd{conn, t, path}
}

// expect waits for messages that begin so, in this order and with no other between.
func (s *fakeSystemd) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		buffer := make([]byte, 1024)
		s.SetReadDeadline(time.Now().Add(hang))
		n, err := s.Read(buffer)
		if got := string(buffer[:n]); err != nil || !strings.HasPrefix(got, w) {
			s.t.Errorf("systemd is told %q, %v, want %s", got, err, w)
		}
	}
}

// awaitEvents waits until a receiver has had so many deliveries.
func awaitEvents(t *testing.T, p *process, r *notifytest.Receiver, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	if err := r.Wait(ctx, func(ds []notifytest.Delivery) bool { return len(ds) >= n }); err != nil {
		t.Fatalf("%d deliveries: %v\n%s", n, err, p.log)
	}
}
