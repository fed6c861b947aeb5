package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tcptest"
	"pushwatch/watcher/tiwsim"
)

// TestMain lets the test binary be pushwatch itself, for scripts and for tests
// that kill it. Most tests wait, so more of them run at a time than there are processors,
// unless the command line has a -parallel.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"pushwatch": main, "bareservice": bareServiceMain, "attackers": attackersMain})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		for _, name := range []string{"SIM_PORT", "HOOK_PORT"} {
			_, port, err := net.SplitHostPort(tcptest.Unused(t))
			if err != nil {
				return err
			}
			e.Setenv(name, port)
		}
		return nil
	}})
}

// hang is how long what must happen, however late, is awaited. A machine that runs other
// tests is slow.
const hang = 2 * time.Minute

// A process is a pushwatch that runs beside the test.
type process struct {
	*exec.Cmd
	log *output
}

// An output is what a process has printed, which can be read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts pushwatch. It does not outlive the test.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	return start(t, exec.Command("pushwatch", args...)) // testscript.Main has put it in the PATH
}

// start starts a command as launch does. Its errors go where cmd says, if it does.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, log: new(output)}
	p.Stdout = p.log
	if p.Stderr == nil {
		p.Stderr = p.log
	}
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// kill ends the process as a crash does.
func (p *process) kill() {
	p.Process.Kill()
	p.Wait()
}

// settingsFile writes a settings file.
func settingsFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitReady waits until the daemon at an address can serve.
func awaitReady(t testing.TB, p *process, address string) {
	t.Helper()
	awaitReadiness(t, p, address, http.StatusOK)
}

// awaitReadiness waits until /readyz answers with a status.
func awaitReadiness(t testing.TB, p *process, address string, status int) {
	t.Helper()
	for deadline := time.Now().Add(hang); readiness(address) != status; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("/readyz = %d, want %d\n%s", readiness(address), status, p.log)
		}
	}
}

// readiness is the status that /readyz answers with; 0: nobody answers.
func readiness(address string) int {
	answer, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// TestSignals stops the daemon in each of the ways it can be asked to.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(fmt.Sprint(sig), func(t *testing.T) {
			t.Parallel()
			p, _ := newScene(t, tiwsim.Config{}, notifytest.Config{}).serve(t, sqliteURL(t))
			p.Process.Signal(sig)
			if err := p.Wait(); err != nil {
				t.Errorf("after %v: %v, want exit status 0\n%s", sig, err, p.log)
			}
			if len(p.logged("info", "stopping")) != 1 {
				t.Errorf("the log does not say that it stops:\n%s", p.log)
			}
		})
	}
}

// TestSignalsWhileWaiting has the daemon wait for a database that is not there:
// SIGHUP does not end it, and SIGTERM is no failure.
func TestSignalsWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	p := launch(t, "serve", "--config", s.file(t, tcptest.Unused(t), "postgres://pushwatch@127.0.0.1:1/pushwatch"))
	p.awaitLogged(t, 1, "warn", "database unreachable")
	p.Process.Signal(syscall.SIGHUP)
	p.awaitLogged(t, 2, "warn", "database unreachable")
	p.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit status 0\n%s", err, p.log)
	}
}
