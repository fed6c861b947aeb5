package web

import (
	"bufio"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns has three connections take turns: the next has its turn when the one before ends
// its own, or has had it for turnTime.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		begun := make(chan int, 3)
		conns := []*conn{new(conn), new(conn), new(conn)}
		for i, c := range conns {
			go func() {
				turns.take(c)
				begun <- i
			}()
			synctest.Wait() // they come in this order
		}
		start := time.Now()
		want := func(i int, after time.Duration) {
			t.Helper()
			if got := <-begun; got != i || time.Since(start) != after {
				t.Errorf("connection %d has its turn after %s, want %d after %s", got, time.Since(start), i, after)
			}
		}
		want(0, 0)
		synctest.Wait()
		if len(begun) > 0 {
			t.Error("two connections work at a time, want one")
		}
		turns.end(conns[2]) // has no effect: it is not its turn
		turns.end(conns[0])
		want(1, 0)
		want(2, turnTime)
		turns.end(conns[1])
		turns.end(conns[2])
		turns.take(conns[0]) // at once
	})
}

// TestHeldTurn has requests with a wrong token wait for their answer, which takes seconds:
// probes and a client with a token are answered at the same time.
func TestHeldTurn(t *testing.T) {
	t.Parallel()
	const header = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "
	_, address := limited(t, serve(t, NewToken("backend", "write-write-write", Write)).(*Handler), 100, 100)
	for range burstPerAddress + int(attemptPatience.Seconds()) {
		dialFrom(t, "127.0.0.1", address, header+"wrong-wrong-wrong\r\nContent-Length: 1000\r\n\r\n{")
	}
	probe(t, address, "/healthz")
	c := dialFrom(t, "127.0.0.1", address, header+"write-write-write\r\nContent-Length: 39\r\n\r\n"+`{"sdk_app_id":1400000001,"task_id":"a"}`)
	c.SetDeadline(time.Now().Add(2 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("POST /v1/tasks: %v, want an answer within 2 s", err)
	}
	if answer.StatusCode != http.StatusCreated {
		t.Errorf("POST /v1/tasks = %s, want 201", answer.Status)
	}
}
