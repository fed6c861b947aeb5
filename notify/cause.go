package notify

import "net/http"

// A Cause is what kept an attempt from succeeding. The breaker's decision, what the
// attempt costs its delivery and the label in the metrics all follow from it.
type Cause int

// The causes. Those with a status are answers of the receiver.
const (
	CauseOther     Cause = iota // nothing below fits: an answer that is not HTTP, for one
	CauseRedirect               // 3xx, which is never followed
	CauseRefused                // 4xx: the receiver works and does not want this event
	CauseGone                   // 410
	CauseThrottled              // 429
	CauseServer                 // 5xx
	CauseTimeout                // no answer in time
	CauseDNS                    // the receiver's name is not resolved
	CauseConnect                // no connection to the receiver
	CauseTLS                    // no TLS session with it
	CauseBlocked                // its address must not be dialled
	CauseProxy                  // the proxy before it failed
	CauseSettings               // the notifier's settings cannot be used, such as a file that is not there
	CauseInternal               // the fault is this process's own: it stops, or cannot read the event
)

// causeLabels are the causes as the metrics show them, on which users build alerts.
var causeLabels = [...]string{
	CauseOther: "other", CauseRedirect: "3xx", CauseRefused: "4xx", CauseGone: "410", CauseThrottled: "429", CauseServer: "5xx",
	CauseTimeout: "timeout", CauseDNS: "dns", CauseConnect: "connect", CauseTLS: "tls", CauseBlocked: "blocked",
	CauseProxy: "proxy", CauseSettings: "settings", CauseInternal: "other",
}

// String returns the cause's label in the metrics.
func (c Cause) String() string { return causeLabels[c] }

// Counts reports whether an attempt that failed so counts against its delivery. It
// does not where the receiver was not reached for a reason that is not its own.
func (c Cause) Counts() bool {
	switch c {
	case CauseBlocked, CauseProxy, CauseSettings, CauseInternal:
		return false
	}
	return true
}

// Sent reports whether the receiver may have got the request.
func (c Cause) Sent() bool {
	switch c {
	case CauseDNS, CauseConnect, CauseTLS:
		return false
	}
	return c.Counts()
}

// answered reports whether the receiver works and has judged what it was sent.
func (c Cause) answered() bool {
	return c == CauseRedirect || c == CauseRefused || c == CauseGone
}

// StatusCause returns the cause of an HTTP status that is no success.
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
