package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestConsumers runs the receivers that the documents show: each must take what
// verifies, refuse what does not, and refuse to start without a secret.
func TestConsumers(t *testing.T) {
	t.Parallel()
	inEachLanguage(t, receiveDoc, consume)
}

// TestRegistering runs the documents' code that registers a push, against the API.
func TestRegistering(t *testing.T) {
	t.Parallel()
	inEachLanguage(t, useDoc, func(t *testing.T, program string, args []string) {
		s := newScene(t, tiwsim.Config{}, notifytest.Config{})
		s.settings += `
[[http.tokens]]
name = "backend"
secret = "a-token-of-some-length"
role = "write"
`
		p, address := s.serve(t, sqliteURL(t))
		server := "http://" + address
		run := func(task, token string) error {
			cmd := exec.Command(program, append(args, task)...)
			cmd.Env = append(os.Environ(), "PUSHWATCH_SERVER="+server, "PUSHWATCH_TOKEN="+token)
			kill := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
			out, err := cmd.CombinedOutput()
			if !kill.Stop() {
				t.Errorf("registering %s with the token %s does not end", task, token)
			}
			t.Logf("%s", out)
			return err
		}
		for range 2 { // the second time it is registered already
			if err := run("class", "a-token-of-some-length"); err != nil {
				t.Errorf("register: %v\n%s", err, p.log)
			}
		}
		if run("class-2", "a-token-that-is-wrong") == nil {
			t.Error("a wrong token gave no error")
		}
		if run("a b", "a-token-of-some-length") == nil {
			t.Error("a faulty id gave no error")
		}
		for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther} {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://"+address+r.URL.Path, status)
			}))
			defer proxy.Close()
			server = proxy.URL
			if run("class-3", "a-token-of-some-length") == nil {
				t.Errorf("a redirect with %d gave no error", status)
			}
		}
	})
}

// inEachLanguage runs a test with each program of a document.
func inEachLanguage(t *testing.T, document string, test func(t *testing.T, program string, args []string)) {
	for _, c := range []struct {
		language, file string
		run            []string
	}{
		{"go", "main.go", []string{"go", "run"}},
		{"js", "program.mjs", []string{"node"}},
		{"python", "program.py", []string{"python3"}},
	} {
		t.Run(c.language, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(c.run[0])
			if err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%v: install it to test the documents' code in it", err)
			}
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, []byte(blockWith(t, document, c.language, "").text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := append(append([]string{}, c.run[1:]...), file)
			if c.language == "go" { // built first: `go run` would not pass on the kill
				binary := filepath.Join(t.TempDir(), "program")
				build := exec.Command(program, "build", "-o", binary, file)
				build.Dir = filepath.Dir(file) // in no module: whoever reads it has another
				build.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				program, args = binary, nil
			}
			test(t, program, args)
		})
	}
}

func consume(t *testing.T, program string, args []string) {
	secret := signing.GenerateSecret()
	key, err := signing.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, weak := range []string{"", "whsec_", "whsec_c2hvcnQ="} {
		address := tcptest.Unused(t)
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "ADDRESS="+address, "WEBHOOK_SECRET="+weak)
		kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		out, err := cmd.CombinedOutput()
		if !kill.Stop() || err == nil {
			t.Errorf("with the secret %q it starts:\n%s", weak, out)
		}
	}

	address := tcptest.Unused(t)
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "ADDRESS="+address, "WEBHOOK_SECRET="+secret)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("it does not listen: %v\n%s", err, out.String())
		}
		time.Sleep(20 * time.Millisecond)
	}

	disturb(t, address)
	const id, body = "msg_v2j0nj95uia5me7t7pcvhs125h", `{"id":"msg_v2j0nj95uia5me7t7pcvhs125h","type":"push.stopped","subject":"1/a","data":{"sequence":1,"name":"课"}}`
	const noPush = `{"id":"msg_v2j0nj95uia5me7t7pcvhs125h","type":"webhook.test","subject":"classroom","data":{"notifier":"classroom"}}`
	other, err := signing.ParseKey(signing.GenerateSecret())
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 30 * time.Second}
	now := time.Now()
	for name, c := range map[string]struct {
		at        time.Time
		signature string
		body      string
		want      int
	}{
		"genuine":    {now, signing.Sign([]signing.Key{key}, id, now, []byte(body)), body, 204},
		"no push":    {now, signing.Sign([]signing.Key{key}, id, now, []byte(noPush)), noPush, 204},
		"rotated":    {now, signing.Sign([]signing.Key{other, key}, id, now, []byte(body)), body, 204},
		"other key":  {now, signing.Sign([]signing.Key{other}, id, now, []byte(body)), body, 401},
		"other body": {now, signing.Sign([]signing.Key{key}, id, now, []byte(body)), body + " ", 401},
		"other time": {now.Add(time.Minute), signing.Sign([]signing.Key{key}, id, now, []byte(body)), body, 401},
		"old":        {now.Add(-time.Hour), signing.Sign([]signing.Key{key}, id, now.Add(-time.Hour), []byte(body)), body, 401},
		"no version": {now, strings.TrimPrefix(signing.Sign([]signing.Key{key}, id, now, []byte(body)), "v1,"), body, 401},
		"no base64":  {now, "v1,!", body, 401},
		"unsigned":   {now, "", body, 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hooks/push", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", strconv.FormatInt(c.at.Unix(), 10))
		if c.signature != "" {
			r.Header.Set("webhook-signature", c.signature)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out.String())
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s: answered %d, want %d", name, answer.StatusCode, c.want)
		}
	}
}

// disturb does to a consumer what any stranger can, unsigned; what comes after has to
// be served all the same.
func disturb(t *testing.T, address string) {
	t.Helper()
	const head = "POST /hooks/push HTTP/1.1\r\nHost: classroom.example\r\nContent-Length: "
	send := func(text string) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, text := range []string{"", head, head + "100\r\n\r\nhalf"} { // connections that stay silent
		c := send(text)
		t.Cleanup(func() { c.Close() })
	}
	send(head + "100\r\n\r\nhalf").Close()
	for _, size := range []string{"2000000", "-1", "much"} {
		c := send(head + size + "\r\n\r\n")
		if size == "2000000" {
			c.Write(make([]byte, 2_000_000)) // fails where it is refused before
		}
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && answer.StatusCode/100 != 4 {
			t.Errorf("a body of %s bytes: answered %d, want a refusal", size, answer.StatusCode)
		}
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Fatalf("a body of %s bytes: no answer", size)
		}
		c.Close()
	}
}
