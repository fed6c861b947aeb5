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
	// It returns when ctx ends at the latest, and reads a bounded part of any answer.
	// Its errors show no secret and no credentials of a URL. It is safe for concurrent
	// use.
	Send(ctx context.Context, d *Delivery) (status int, err error)
}

// A SendError is a failed attempt: why it failed, and what follows.
type SendError struct {
	Cause  Cause
	Reason string // for people and for the delivery's log, without secrets
	// Final: another attempt will not help. The delivery goes to dead letter.
	Final bool
	// Gone: the receiver wants no more events. All its deliveries go to dead letter
	// until an operator resumes the notifier.
	Gone bool
	// RetryAfter is until when the receiver asks for a pause, for all deliveries; zero:
	// it does not. It is honoured for a day at most.
	RetryAfter time.Time
	Err        error // the underlying error, if any
}

func (e *SendError) Error() string { return e.Reason }
func (e *SendError) Unwrap() error { return e.Err }

// pause returns until when the receiver asks for a pause: at most [MaxPause] from now;
// zero: it does not.
func (e *SendError) pause(now time.Time) time.Time {
	if latest := now.Add(MaxPause); e.RetryAfter.After(latest) {
		return latest
	}
	return e.RetryAfter
}

// outage reports whether the fault lies with the receiver as a whole, or the path to it,
// rather than with this event.
func (e *SendError) outage() bool { return !e.Final && !e.Cause.answered() }
