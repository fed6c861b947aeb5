package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errLapsed is the cause with which a term ends when the lease lapses.
var errLapsed = errors.New("the database was not reached for too long: others may own the accounts by now")

// A lease bounds how long this process acts as the owner of its accounts without
// proof from the database. Each heartbeat extends it by less than the time after
// which others take over.
//
// Ownership lasts for a term, which is a context. When the lease lapses, the term ends. A
// later heartbeat, for example when a frozen process thaws, begins a new term, in which
// the process owns nothing at first.
type lease struct {
	length time.Duration

	mu     sync.Mutex
	until  time.Time
	term   context.Context // nil: none yet
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// renew extends the lease after a heartbeat that was sent at the given time and has just
// succeeded.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endIfLapsed()
	if l.term == nil || l.term.Err() != nil {
		l.term, l.cancel = context.WithCancelCause(context.Background())
	}
	l.until = sent.Add(l.length)
	l.endIfLapsed() // the heartbeat may have taken longer than the lease lasts
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(time.Until(l.until), func() { l.current() })
}

// current returns the term; nil if the lease has lapsed. It ends a lapsed term if the timer
// has not done so.
func (l *lease) current() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endIfLapsed()
	if l.term == nil || l.term.Err() != nil {
		return nil
	}
	return l.term
}

// valid reports whether the lease has not lapsed.
func (l *lease) valid() bool { return l.current() != nil }

// endIfLapsed ends the term if the lease has lapsed by the monotonic clock or by the wall
// clock: the former stands still while a machine sleeps. The caller holds l.mu.
func (l *lease) endIfLapsed() {
	now := time.Now()
	if l.term != nil && (!now.Before(l.until) || !now.Round(0).Before(l.until.Round(0))) {
		l.cancel(errLapsed)
	}
}

// end ends the term, if there is one, with a cause.
func (l *lease) end(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != nil {
		l.cancel(cause)
		l.timer.Stop()
	}
}
