package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher/tcptest"
)

// TestFirstFiveMinutes runs the commands of the README's first five minutes in their
// order, each as it stands there but for the addresses, until the receiver has verified a
// webhook of the push.
func TestFirstFiveMinutes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	addresses := map[string]string{"sim": tcptest.Unused(t), "listen": tcptest.Unused(t), "serve": tcptest.Unused(t)}
	running := make(map[string]*process)
	for line := range strings.Lines(firstCommands(t)) {
		command, comment, _ := strings.Cut(line, "#")
		args := strings.Fields(command)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "PUSHWATCH_SERVER=http://"+addresses["serve"])
		if args[0] == "go" {
			cmd.Dir = "../.."
			cmd.Args[len(args)-2] = filepath.Join(folder, args[len(args)-2]) // after -o
		}
		if !strings.Contains(comment, "terminal") {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			continue
		}
		name := args[1]
		if name == "serve" {
			prepend(t, filepath.Join(folder, "config.toml"), fmt.Sprintf("http.listen = %q\n", addresses[name]))
		} else {
			cmd.Args = append(cmd.Args, "--listen", addresses[name])
		}
		running[name] = start(t, cmd)
		within(t, name+" listens", func() bool {
			conn, err := net.Dial("tcp", addresses[name])
			if err == nil {
				conn.Close()
			}
			return err == nil && (name != "serve" || readiness(addresses[name]) == 200)
		})
	}
	begun := time.Now()
	within(t, "the receiver verifies the start of the push", func() bool {
		for line := range strings.Lines(running["listen"].log.String()) {
			if strings.Contains(line, "push.started") && strings.Contains(line, "1400000001/ghucnligqtgtvk2624mb") && strings.HasSuffix(line, "verified\n") {
				return true
			}
		}
		return false
	})
	t.Logf("verified %v after the last command", time.Since(begun).Round(time.Millisecond))
}

// firstCommands are the commands of the README's first five minutes, one a line.
func firstCommands(t *testing.T) string {
	t.Helper()
	commands := blockWith(t, readme, "sh", "--settings config.toml").text
	if strings.Count(commands, "terminal") != 3 {
		t.Fatalf("the README's first five minutes have other commands than this test expects:\n%s", commands)
	}
	return commands
}

// prepend puts text before that of a file.
func prepend(t *testing.T, path, text string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte(text), before...), 0o600); err != nil {
		t.Fatal(err)
	}
}
