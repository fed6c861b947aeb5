package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher/tiwsim"
)

// documentedPush is the push that the documents name, in a scenario.
var documentedPush = tiwsim.Life{SDKAppID: 1400000001, TaskID: "ghucnligqtgtvk2624mb", PreparedFor: tiwsim.Duration(time.Nanosecond)}

// TestDocumentedCalls runs, in their order, the commands of the documents that talk to a
// daemon, curl's among them. The daemon watches the push that they name.
func TestDocumentedCalls(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v: install it to run the documents' commands", err)
	}
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{documentedPush}}, notifytest.Config{})
	p, address := s.serve(t, sqliteURL(t))
	sh := &shell{folder: t.TempDir(), replace: []string{"127.0.0.1:8465", address}, env: []string{"PUSHWATCH_SERVER=http://" + address}}

	for _, b := range []block{blockWith(t, readme, "sh", "curl"), blockWith(t, useDoc, "sh", "curl")} {
		var task api.Task
		if out := sh.run(t, b.text); json.Unmarshal([]byte(out), &task) != nil || task.TaskID != documentedPush.TaskID || task.Labels["course"] != "math-3b" {
			t.Errorf("%v answers %s, want the task with its label", b, out)
		}
	}
	for line := range strings.Lines(blockWith(t, useDoc, "sh", "pushwatch status").text) {
		if strings.Contains(line, "follow") {
			line = "timeout 0.5 " + strings.TrimSpace(strings.Split(line, "#")[0]) + " || test $? = 124" // it goes on until it is stopped
		}
		sh.run(t, line)
	}
	awaitEvents(t, p, s.receiver, 2) // the push's, and that of the test
	var deliveries api.Deliveries
	if err := json.Unmarshal([]byte(fetch(t, address, "/v1/deliveries?state=delivered")), &deliveries); err != nil || len(deliveries.Deliveries) == 0 {
		t.Fatalf("deliveries = %+v, %v, want some", deliveries, err)
	}
	sh.replace = append(sh.replace, "dlv_1_42", deliveries.Deliveries[0].ID)
	sh.run(t, blockWith(t, receiveDoc, "sh", "delivery retry").text)
	awaitEvents(t, p, s.receiver, 3)
}

// TestDocumentedSecrets makes the secrets as the documents say, for a webhook, for systemd
// and for compose: the settings that use them have no fault.
func TestDocumentedSecrets(t *testing.T) {
	t.Parallel()
	sh := &shell{folder: t.TempDir()}
	sh.run(t, blockWith(t, receiveDoc, "sh", "> webhook-key").text)
	if _, err := signing.ParseKey(sh.read(t, "webhook-key")); err != nil {
		t.Error(err)
	}

	for _, c := range []struct {
		text, within string
		settings     func(t *testing.T) (settings, folder string, secrets []string)
	}{
		{"umask 077", ".", packaged},
		{"mkdir secrets", "secrets", composed},
	} {
		sh := &shell{folder: t.TempDir(), replace: []string{"/etc/pushwatch", "."}}
		sh.run(t, blockWith(t, operateDoc, "sh", c.text).text)
		text, folder, _ := c.settings(t)
		text = strings.ReplaceAll(text, folder, filepath.Join(sh.folder, c.within))
		if _, _, err := readSettings(settingsFile(t, text)); err != nil {
			t.Errorf("with the secrets of %q: %v", c.text, err)
		}
	}
}

// TestDocumentedRestore backs up and restores a database as the operator's handbook says:
// what was registered before the backup is there again, what came after it is not.
func TestDocumentedRestore(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{documentedPush}}, notifytest.Config{})
	sh := &shell{folder: t.TempDir(), replace: []string{"/var/backups/", "", "/var/lib/private/pushwatch", ".", "2026-11-23", "$(date +%F)"}}
	store := "sqlite:" + filepath.Join(sh.folder, "pushwatch.db")
	p, address := s.serve(t, store)
	sh.env = []string{"CONFIG=" + s.file(t, address, store), "PUSHWATCH_SERVER=http://" + address}
	sh.run(t, "pushwatch task add 1400000001 before")
	sh.run(t, blockWith(t, operateDoc, "sh", "/var/backups/pushwatch-$(date").text)
	sh.run(t, "pushwatch task add 1400000001 after")
	p.kill()

	sh.run(t, blockWith(t, operateDoc, "sh", "pushwatch.db-wal").text)
	_, address = s.serve(t, store)
	for task, want := range map[string]int{"before": http.StatusOK, "after": http.StatusNotFound} {
		answer, err := http.Get("http://" + address + "/v1/tasks/1400000001/" + task)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("the task %s: %s, want %d", task, answer.Status, want)
		}
	}
}

// A shell runs commands of the documents, in a folder. What this test is not about, such
// as systemctl, does nothing, and a secret that is pasted is there at once.
type shell struct {
	folder  string
	replace []string // pairs of what stands in the commands and what is meant here
	env     []string
}

const shellFunctions = `set -e
systemctl() { :; }
docker() { :; }
cat() { if test $# -gt 0; then command cat "$@"; else echo a-secret-of-some-length; fi; }
pushwatch() { if test "$1" = backup; then command pushwatch "$@" --config "$CONFIG"; else command pushwatch "$@"; fi; }
`

// run runs a script that must succeed, and returns what it prints.
func (sh *shell) run(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	script = strings.NewReplacer(sh.replace...).Replace(script)
	cmd := exec.CommandContext(ctx, "bash", "-c", shellFunctions+script)
	cmd.Dir = sh.folder
	cmd.Env = append(os.Environ(), sh.env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, said.String())
	}
	return string(out)
}

func (sh *shell) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sh.folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
