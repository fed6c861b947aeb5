package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// A stuckWriter is a pipe that nobody reads until release.
type stuckWriter struct {
	release chan struct{}
	text    bytes.Buffer
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	<-w.release
	return w.text.Write(b)
}

// TestLogWriter writes more than may wait to a pipe that nobody reads: no line waits,
// what is beyond the bound is lost and counted, and the rest is whole and in order.
func TestLogWriter(t *testing.T) {
	pipe := &stuckWriter{release: make(chan struct{})}
	w := newLogWriter(pipe)
	const lines, size = 3000, 1000
	begun := time.Now()
	for n := range lines {
		fmt.Fprintf(w, "%06d%s\n", n, strings.Repeat("x", size-7))
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("writing to a pipe that nobody reads took %v", took)
	}
	lost := int(testutil.ToFloat64(w.metric()))
	if want := lines - 2*maxLogPending/size; lost < want || lost == lines { // one batch is under way, one pending
		t.Errorf("%d of %d lines are lost, want at least %d", lost, lines, want)
	}
	close(pipe.release)
	if err := w.Sync(); err != nil {
		t.Error(err)
	}
	written := strings.Split(strings.TrimSuffix(pipe.text.String(), "\n"), "\n")
	if len(written)+lost != lines {
		t.Errorf("%d lines are written and %d lost, want %d together", len(written), lost, lines)
	}
	for i, line := range written {
		if len(line) != size-1 || i > 0 && line <= written[i-1] {
			t.Fatalf("line %d is %.20q…, %d bytes long", i, line, len(line))
		}
	}
}

// failingWriter is a disk that is full.
type failingWriter struct{}

func (failingWriter) Write(b []byte) (int, error) { return 0, errors.New("no space left on device") }

// TestLogWriterFull counts the lines that a full disk does not take.
func TestLogWriterFull(t *testing.T) {
	w := newLogWriter(failingWriter{})
	for range 10 {
		io.WriteString(w, "a line\n")
	}
	w.Sync()
	if lost := testutil.ToFloat64(w.metric()); lost != 10 {
		t.Errorf("%v lines are lost, want 10", lost)
	}
}

// TestLogLost takes the log away from a running daemon in each way that a machine does:
// its reader goes, its reader stops reading, its disk is full. The daemon goes on watching
// and delivering, and counts the lines where they are lost.
func TestLogLost(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, cmd *exec.Cmd) (lose func()){
		"closed": func(t *testing.T, cmd *exec.Cmd) func() {
			reader := logPipe(t, cmd)
			return func() { reader.Close() }
		},
		"unread": func(t *testing.T, cmd *exec.Cmd) func() {
			logPipe(t, cmd)
			return func() {}
		},
		"full": func(t *testing.T, cmd *exec.Cmd) func() {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { full.Close() })
			cmd.Stderr = full
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const pushes = 200
			life := tiwsim.Life{SDKAppID: 1400000001, TaskID: "class-{n}", Count: pushes, PreparedFor: tiwsim.Duration(time.Second), PushingFor: tiwsim.Duration(5 * time.Second)}
			s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{life}}, notifytest.Config{})
			s.settings += "[[notifiers]]\nname = \"log\"\ntype = \"log\"\nevents = [\"*\"]\n" + taskTables(life) // some 500 kB, and a pipe holds 64
			address := tcptest.Unused(t)
			cmd := exec.Command("pushwatch", "serve", "--config", s.file(t, address, sqliteURL(t)))
			lose := take(t, cmd)
			p := start(t, cmd)
			awaitReady(t, p, address)
			lose()
			awaitEvents(t, p, s.receiver, 2*pushes)
			if got := fetch(t, address, "/metrics"); name != "unread" && strings.Contains(got, "\npushwatch_log_lines_lost_total 0\n") {
				t.Error("pushwatch_log_lines_lost_total = 0, want lines that are lost")
			} else if !strings.Contains(got, "\npushwatch_log_lines_lost_total ") {
				t.Error("there is no metric pushwatch_log_lines_lost_total")
			}
			begun := time.Now()
			p.Process.Signal(os.Interrupt)
			if err := p.Wait(); err != nil || time.Since(begun) > 20*time.Second {
				t.Errorf("the daemon ends with %v after %v, want status 0 soon", err, time.Since(begun))
			}
		})
	}
}

// logPipe makes a pipe of the log of cmd, and returns its end for reading.
func logPipe(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = writer
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader
}
