package notify

import (
	"cmp"
	"context"
	"time"
)

// A Sender makes attempts for one notifier.
type Sender interface {
	// Send makes one attempt of d, whose Body is set and whose Attempts counts
	// the attempts before this one. It returns nil only when the receiver has
	// taken the event; any other outcome is a [*SendError]. status is the HTTP
	// status of the answer, 0 where there was none.
	//
	// It ends with ctx at the latest, and reads a bounded part of any answer.
	// No error of it shows a secret or the credentials in a URL. It may be
	// called by many goroutines at once.
	Send(ctx context.Context, d *Delivery) (status int, err error)
}

// A SendError tells what kept an attempt from succeeding, and what follows.
type SendError struct {
	Reason string // for people and for the delivery's log, without secrets
	// Final: another attempt will not help. The delivery goes to dead letter.
	Final bool
	// Gone: the receiver wants nothing more, ever (410).
	Gone bool
	// Uncharged: the receiver was not reached for a reason that is not its own,
	// such as a proxy's failure or an address that may not be dialled. The
	// attempt does not count.
	Uncharged bool
	// RetryAfter is the earliest time at which the receiver wants to hear from
	// this notifier again, about anything; zero where it did not say. No more
	// than a day of it is kept to.
	RetryAfter time.Time
	// Result sorts the failure for metrics: "3xx", "4xx", "410", "429", "5xx",
	// "timeout", "dns", "connect", "tls", "blocked", "proxy", "settings", "other".
	Result string
	Err    error // the cause below, where there is one
}

func (e *SendError) Error() string { return e.Reason }
func (e *SendError) Unwrap() error { return e.Err }

// result sorts an attempt for the metrics; a nil e is a success.
func (e *SendError) result() string {
	if e == nil {
		return "2xx"
	}
	return cmp.Or(e.Result, "other")
}
