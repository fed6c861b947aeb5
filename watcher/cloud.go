package watcher

import (
	"context"
	"fmt"
	"time"
)

// MaxRequestsPerSecond is the API's own limit for an account.
// https://www.tencentcloud.com/document/product/1176/55161
const MaxRequestsPerSecond = 20

// A Cloud answers what TIW knows of a push. One Cloud speaks for one account.
type Cloud interface {
	// Describe sends exactly one DescribeWhiteboardPush request and returns what
	// the answer says of the push. It never sends a second one: each request is
	// counted against the account's limit, and it is the caller who counts.
	//
	// The request ends with ctx at the latest, the reading of the answer
	// included. Every error is a [*CloudError]. Describe may be called by many
	// goroutines at once.
	Describe(ctx context.Context, key Key) (Push, error)

	// RoundTrip is the shortest time that the network has taken to reach the
	// service and come back, as the opening of a connection shows it; 0 where
	// that is not known. It must never be longer than the true one.
	RoundTrip() time.Duration
}

// A Kind sorts a failed Describe by what a watcher may conclude from it. The
// codes behind each kind are those of TIW's error list and of Tencent Cloud's
// common error codes.
type Kind int

const (
	// Transient: the service or the way to it is in trouble. It says nothing of
	// any task. The zero Kind, since a fault that nobody has sorted is one.
	Transient Kind = iota
	// Throttled: the account's quota is used up, perhaps by others.
	Throttled
	// DeniedApplication: nothing of this application can be observed: it has no
	// service, or its service has expired.
	DeniedApplication
	// DeniedAccount: nothing of the whole account can be observed: credentials,
	// permissions.
	DeniedAccount
	// UnknownTask: the task is not known, which just after its start may only
	// be early.
	UnknownTask
	// FailedTask: the push has failed for good. TIW tells this as an error.
	FailedTask
	// Refused: the request was refused for one of its parameters, which says nothing
	// of the task. The fault may be the task's, its application's or the account's: a
	// wrong region is refused so.
	Refused
)

func (k Kind) String() string {
	switch k {
	case Throttled:
		return "throttled"
	case DeniedApplication:
		return "application denied"
	case DeniedAccount:
		return "account denied"
	case UnknownTask:
		return "task not found"
	case FailedTask:
		return "push failed"
	case Refused:
		return "refused"
	default:
		return "transient"
	}
}

// Sent says how far a request came. The limiter needs it: a request that may still be
// on its way counts against the limit.
type Sent int

const (
	// Answered: the service, or a gateway before it, has answered.
	Answered Sent = iota
	// Unanswered: the request may have been sent. Nothing tells whether and when it
	// reached the service.
	Unanswered
	// Dropped: unanswered, on a kept-open connection that the service had closed. The
	// request can be sent again at once, and counts as one more.
	Dropped
	// Unsent: the request certainly never reached the service.
	Unsent
)

func (s Sent) String() string {
	switch s {
	case Unanswered:
		return "unanswered"
	case Dropped:
		return "dropped"
	case Unsent:
		return "unsent"
	default:
		return "answered"
	}
}

// A CloudError tells why Describe did not return a push.
type CloudError struct {
	Kind Kind
	Sent Sent
	// Code is the API's own ("InvalidParameter.TaskNotFound"), or, where no API
	// answered, a word for what failed ("timeout", "network", "http 502", "unreadable").
	Code    string
	Message string // shortened, without secrets
	// Request is the API's RequestId, where it gave one.
	Request string
	// Err is the cause below, where there is one.
	Err error
}

func (e *CloudError) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *CloudError) Unwrap() error { return e.Err }

// API is the error as tasks and events show it.
func (e *CloudError) API() *APIError { return &APIError{Code: e.Code, Message: e.Message} }
