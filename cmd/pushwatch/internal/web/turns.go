package web

import (
	"runtime"
	"sync"
	"time"
)

// turnTime is how long a connection may keep its turn while others wait. It is longer than
// reading a header and refusing the request takes, unless the handler waits for something.
const turnTime = 2 * time.Millisecond

// turns lets connections without a token work one at a time. Otherwise a burst of a thousand
// would have a thousand goroutines ready to run, and polls and deliveries would queue behind
// them: Go's scheduler has no priorities. So no more than one is ready at a time, on one
// processor, and the others wait here.
//
// A connection takes its turn when it has read something. It ends with the next read, with a
// write, a close or a valid token, or after turnTime.
type turns struct {
	mu      sync.Mutex
	holder  *conn // nil: nobody works
	since   time.Time
	waiting []waiter
	expiry  *time.Timer // set while others wait
}

// A waiter is a connection that waits for its turn, in which ready is closed.
type waiter struct {
	conn  *conn
	ready chan struct{}
}

// take waits for a connection's turn.
func (t *turns) take(c *conn) {
	t.mu.Lock()
	if t.holder == nil {
		t.holder, t.since = c, time.Now()
		t.mu.Unlock()
		return
	}
	ready := make(chan struct{})
	t.waiting = append(t.waiting, waiter{c, ready})
	if len(t.waiting) == 1 {
		t.watch()
	}
	t.mu.Unlock()
	<-ready
	runtime.Gosched() // goroutines that are ready already go first
}

// end ends a connection's turn. It does nothing if another connection works.
func (t *turns) end(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == c {
		t.next()
	}
}

// next gives the turn to the connection that has waited longest. The caller holds t.mu.
func (t *turns) next() {
	t.holder = nil
	if len(t.waiting) == 0 {
		t.waiting = nil // so that the memory of a burst is freed
		return
	}
	first := t.waiting[0]
	t.waiting[0] = waiter{}
	t.waiting = t.waiting[1:]
	t.holder, t.since = first.conn, time.Now()
	close(first.ready)
}

// watch calls expire after turnTime. The caller holds t.mu.
func (t *turns) watch() {
	if t.expiry == nil {
		t.expiry = time.AfterFunc(turnTime, t.expire)
		return
	}
	t.expiry.Reset(turnTime)
}

// expire ends the turn of a connection that has had it for turnTime.
func (t *turns) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return
	}
	if time.Since(t.since) >= turnTime {
		t.next()
	}
	t.watch()
}
