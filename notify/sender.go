package notify

import (
	"context"
	"time"
)

// A Sender makes attempts for one notifier.
type Sender interface {
	// Send makes one attempt of d, whose Body is set and whose Requests counts the
	// requests before this one. It returns nil only when the receiver has
	// accepted the event; any other outcome is a [*SendError]. status is the HTTP
	// status of the answer, 0 where there was none.
	//
	// It ends with ctx at the latest, and reads a bounded part of any answer.
	// No error of it shows a secret or the credentials in a URL. It may be
	// called by many goroutines at once.
	Send(ctx context.Context, d *Delivery) (status int, err error)
}

// A SendError is an attempt that failed: why, and what follows.
type SendError struct {
	Cause  Cause
	Reason string // for people and for the delivery's log, without secrets
	// Final: another attempt will not help. The delivery goes to dead letter.
	Final bool
	// Gone: the receiver wants nothing more, ever. All its deliveries go to dead
	// letter until somebody resumes the notifier.
	Gone bool
	// RetryAfter is the earliest time at which the receiver wants to hear from
	// this notifier again, about anything; zero where it did not say. No more
	// than a day of it is kept to.
	RetryAfter time.Time
	Err        error // the error below, where there is one
}

func (e *SendError) Error() string { return e.Reason }
func (e *SendError) Unwrap() error { return e.Err }

// pause returns until when the receiver wants a pause: [MaxPause] from now at most, and
// the zero time where it wants none.
func (e *SendError) pause(now time.Time) time.Time {
	if latest := now.Add(MaxPause); e.RetryAfter.After(latest) {
		return latest
	}
	return e.RetryAfter
}

// outage reports whether the receiver as a whole, or the way to it, failed rather
// than what was sent to it.
func (e *SendError) outage() bool { return !e.Final && !e.Cause.answered() }
