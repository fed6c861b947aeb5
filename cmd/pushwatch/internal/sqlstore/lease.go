package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errLapsed ends a term: the database has not been reached for too long.
var errLapsed = errors.New("the database was not reached for too long: others may own the accounts by now")

// A lease bounds how long this process acts as the owner of its accounts without
// proof from the database. Each heartbeat extends it by less than the time after
// which others take over.
//
// Ownership lasts for a term, which is a context. When the lease lapses, the term
// ends for good: a later heartbeat, as after a frozen process thaws, begins another
// term, in which the process owns nothing yet.
type lease struct {
	length time.Duration

	mu     sync.Mutex
	until  time.Time
	term   context.Context // nil: none yet
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// renew extends the lease by a heartbeat that was sent at a time and has been
// answered now.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endIfLapsed()
	if l.term == nil || l.term.Err() != nil {
		l.term, l.cancel = context.WithCancelCause(context.Background())
	}
	l.until = sent.Add(l.length)
	l.endIfLapsed() // the answer may have taken longer than the lease lasts
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(time.Until(l.until), func() { l.current() })
}

// current returns the term; nil where the lease has lapsed. The first call after
// that ends the term, if the timer has not.
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

// endIfLapsed ends the term where the lease has lapsed, by the monotonic clock or by
// the wall clock, since the former stands still while a machine sleeps. The caller
// holds l.mu.
func (l *lease) endIfLapsed() {
	now := time.Now()
	if l.term != nil && (!now.Before(l.until) || !now.Round(0).Before(l.until.Round(0))) {
		l.cancel(errLapsed)
	}
}

// end ends the term, if there is one, because of cause.
func (l *lease) end(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != nil {
		l.cancel(cause)
		l.timer.Stop()
	}
}
