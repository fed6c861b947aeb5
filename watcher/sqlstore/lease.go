package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errLapsed ends a term: the database has not been reached for too long.
var errLapsed = errors.New("the database was not reached for too long: others may own the accounts by now")

// A lease says for how long this process may act for the accounts that it owns,
// although it cannot ask whether it still owns them. Each heartbeat extends it by
// less than the time after which others take over.
//
// What is owned is owned in a term, which is a context. Once the lease has run out
// the term is over for good: a heartbeat that succeeds later, as after the thawing
// of a frozen process, begins another one, in which nothing is owned yet.
type lease struct {
	length time.Duration

	mu    sync.Mutex
	until time.Time
	term  context.Context // nil: none yet
	end   context.CancelCauseFunc
	timer *time.Timer
}

// renew extends the lease by a heartbeat that was sent at a time and has been
// answered now.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check()
	if l.term == nil || l.term.Err() != nil {
		l.term, l.end = context.WithCancelCause(context.Background())
	}
	l.until = sent.Add(l.length)
	l.check() // the answer may have taken longer than what it is worth
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(time.Until(l.until), func() { l.current() })
}

// current returns the term, nil where the lease has run out. The first call after
// it has ends the term, if the timer has not.
func (l *lease) current() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check()
	if l.term == nil || l.term.Err() != nil {
		return nil
	}
	return l.term
}

// holds reports whether the lease has not run out.
func (l *lease) holds() bool { return l.current() != nil }

// check ends the term where the lease has run out, by the monotonic clock or by
// that on the wall, since the former stands still while a machine sleeps. l.mu is
// held.
func (l *lease) check() {
	now := time.Now()
	if l.term != nil && (!now.Before(l.until) || !now.Round(0).Before(l.until.Round(0))) {
		l.end(errLapsed)
	}
}

// over ends the term, if there is one, because of cause.
func (l *lease) over(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term != nil {
		l.end(cause)
		l.timer.Stop()
	}
}
