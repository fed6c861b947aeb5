package watcher

import (
	"context"
	"fmt"
	"time"
)

// MaxRequestsPerSecond is the API's own limit for an account.
// https://www.tencentcloud.com/document/product/1176/55161
const MaxRequestsPerSecond = 20

// A Cloud is TIW as one account sees it.
type Cloud interface {
	// Describe sends one DescribeWhiteboardPush request and returns the push it
	// describes. It never retries: each request counts against the account's limit,
	// which the caller keeps.
	//
	// It returns when ctx ends at the latest. Every error is a [*CloudError]. Describe is
	// safe for concurrent use.
	Describe(ctx context.Context, key Key) (Push, error)

	// RoundTrip returns the shortest network round trip to the service, measured when a
	// connection is opened; 0: not known. It must not exceed the true one.
	RoundTrip() time.Duration
}

// A Kind is what a failed Describe means for the task. The kinds cover TIW's error list
// and Tencent Cloud's common error codes.
type Kind int

const (
	// Transient: the service or the network fails. It says nothing about any task. The
	// zero Kind, so that an unknown error is transient.
	Transient Kind = iota
	// Throttled: the account's quota is used up, perhaps by others.
	Throttled
	// DeniedApplication: access to the application is denied, for example because its
	// service has expired.
	DeniedApplication
	// DeniedAccount: access to the account is denied: credentials, permissions.
	DeniedAccount
	// UnknownTask: TIW does not know the task, or does not know it yet.
	UnknownTask
	// FailedTask: the push has failed for good. TIW reports this as an error.
	FailedTask
	// Refused: a parameter was refused. It says nothing about the task: the fault may be
	// the task's, its application's or the account's, such as a wrong region.
	Refused
)

func (k Kind) String() string {
	return []string{"transient", "throttled", "application denied", "account denied", "task not found", "push failed", "refused"}[k]
}

// Sent is how far a request got. A request that may still be on its way counts against the
// account's limit.
type Sent int

const (
	// Answered: the service, or a gateway before it, has answered.
	Answered Sent = iota
	// Unanswered: the request may have been sent, and may still reach the service.
	Unanswered
	// Dropped: unanswered on a kept connection that the service had closed. It can be
	// sent again at once, and then counts twice.
	Dropped
	// Unsent: the request never reached the service.
	Unsent
)

func (s Sent) String() string { return []string{"answered", "unanswered", "dropped", "unsent"}[s] }

// A CloudError is why Describe did not return a push.
type CloudError struct {
	Kind Kind
	Sent Sent
	// Code is the API's ("InvalidParameter.TaskNotFound"), or, without an answer of the
	// API, what failed: "timeout", "network", "http 502", "unreadable".
	Code    string
	Message string // shortened, without secrets
	Request string // the API's RequestId, if any
	Err     error  // the cause, if any
}

func (e *CloudError) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *CloudError) Unwrap() error { return e.Err }

// API returns the error as tasks and events show it.
func (e *CloudError) API() *APIError { return &APIError{Code: e.Code, Message: e.Message} }
