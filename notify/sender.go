package notify

import (
	"context"
	"net/http"
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

// A Cause is why an attempt failed. It determines whether the breaker opens, whether the
// attempt counts against its delivery, and the label in the metrics.
type Cause int

// The causes. Those with a status are answers of the receiver.
const (
	CauseOther     Cause = iota // none of those below, such as an answer that is not HTTP
	CauseRedirect               // 3xx, which is never followed
	CauseRefused                // 4xx: the receiver works and refuses this event
	CauseGone                   // 410
	CauseThrottled              // 429
	CauseServer                 // 5xx
	CauseTimeout                // no answer in time
	CauseDNS                    // the receiver's name is not resolved
	CauseConnect                // no connection to the receiver
	CauseTLS                    // no TLS session with it
	CauseBlocked                // its address must not be dialled
	CauseProxy                  // the proxy in front of it failed
	CauseSettings               // the notifier's settings cannot be used, such as a missing file
	CauseInternal               // this process's own fault: it is stopping, or cannot read the event
)

// causeLabels are the causes in the metrics. Users build alerts on them.
var causeLabels = [...]string{
	CauseOther: "other", CauseRedirect: "3xx", CauseRefused: "4xx", CauseGone: "410", CauseThrottled: "429", CauseServer: "5xx",
	CauseTimeout: "timeout", CauseDNS: "dns", CauseConnect: "connect", CauseTLS: "tls", CauseBlocked: "blocked",
	CauseProxy: "proxy", CauseSettings: "settings", CauseInternal: "other",
}

// String returns the cause's label in the metrics.
func (c Cause) String() string { return causeLabels[c] }

// Counts reports whether an attempt with this cause counts against its delivery. It does
// not if the receiver was not reached for a reason other than its own.
func (c Cause) Counts() bool {
	switch c {
	case CauseBlocked, CauseProxy, CauseSettings, CauseInternal:
		return false
	}
	return true
}

// Sent reports whether the receiver may have received the request.
func (c Cause) Sent() bool {
	switch c {
	case CauseDNS, CauseConnect, CauseTLS:
		return false
	}
	return c.Counts()
}

// answered reports whether the receiver works and has refused this event.
func (c Cause) answered() bool {
	return c == CauseRedirect || c == CauseRefused || c == CauseGone
}

// StatusCause returns the cause for an HTTP status other than 2xx.
func StatusCause(status int) Cause {
	switch {
	case status == http.StatusGone:
		return CauseGone
	case status == http.StatusTooManyRequests:
		return CauseThrottled
	case status >= 300 && status <= 399:
		return CauseRedirect
	case status >= 400 && status <= 499:
		return CauseRefused
	case status >= 500 && status <= 599:
		return CauseServer
	}
	return CauseOther
}
