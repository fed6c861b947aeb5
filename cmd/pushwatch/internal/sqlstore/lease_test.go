package sqlstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lease{length: 4 * time.Second}
		if l.valid() {
			t.Error("a lease holds before the first heartbeat")
		}
		l.renew(time.Now())
		term := l.current()
		for range 5 { // each extends it
			time.Sleep(2 * time.Second)
			l.renew(time.Now().Add(-time.Second)) // as sent, not as answered
		}
		if !l.valid() || l.current() != term {
			t.Error("a lease that was renewed in time began another term")
		}
		time.Sleep(3*time.Second - time.Nanosecond)
		if term.Err() != nil {
			t.Error("the term is over before the lease has run out")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if cause := context.Cause(term); !errors.Is(cause, errLapsed) || l.valid() {
			t.Errorf("the lease has run out: the term ended with %v, want %v", cause, errLapsed)
		}

		l.renew(time.Now())
		if term.Err() == nil || l.current() == nil || l.current() == term {
			t.Error("a heartbeat after the end began no other term")
		}
		l.end(errStopping)
		if l.valid() {
			t.Error("a term that was ended still holds")
		}
		l.renew(time.Now().Add(-5 * time.Second))
		if l.valid() {
			t.Error("a heartbeat answered too late is worth something")
		}
	})
}

// TestLeaseThaw has the end of a lease pass while nothing runs, no timer either, as in
// a frozen process: asking finds out, before a heartbeat can extend it.
func TestLeaseThaw(t *testing.T) {
	t.Parallel()
	l := lease{length: time.Minute}
	l.renew(time.Now())
	term := l.current()
	l.timer.Stop()
	l.until = time.Now() // a minute passed
	l.renew(time.Now())
	if !errors.Is(context.Cause(term), errLapsed) || !l.valid() {
		t.Errorf("the term before the freeze ended with %v, want %v, and another one", context.Cause(term), errLapsed)
	}
}
