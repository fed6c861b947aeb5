package chat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"pushwatch/notify/transport"
)

// contain runs code of a service and turns a panic into an error. The panic's value may
// hold secrets, and is dropped.
func contain(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the service panicked")
		}
	}()
	return f()
}

// The library's requests carry no context, and most of its services use
// [http.DefaultTransport]. The carrier therefore replaces that one, and must know which
// attempt a request belongs to: the one whose code is running. Only one runs at a time,
// but its lock is released during its requests, so that no attempt waits for another's
// receiver.
var (
	libraryCode sync.Mutex      // held by the attempt whose code is running
	running     *libraryAttempt // that attempt; guarded by libraryCode
)

// A libraryAttempt is one attempt through the library.
type libraryAttempt struct {
	ctx       context.Context
	transport *transport.Transport
	alias     string
	hidden    []string

	answer *transport.Answer // to the last request
	failed error             // why the last request had no answer
}

// run runs code of the library. The requests that it makes belong to the attempt.
func (a *libraryAttempt) run(f func() error) error {
	installCarrier()
	libraryCode.Lock()
	defer libraryCode.Unlock()
	running = a
	defer func() { running = nil }()
	return contain(f)
}

// installCarrier replaces [http.DefaultTransport], which nothing else in the process uses.
var installCarrier = sync.OnceFunc(func() { http.DefaultTransport = theCarrier })

// A carrier is the [http.RoundTripper] of the library's requests.
type carrier struct{ others http.RoundTripper }

var theCarrier = carrier{http.DefaultTransport}

// errRedirect is the error of a request that was answered with a redirect.
var errRedirect = errors.New("redirects are not followed")

// RoundTrip implements [http.RoundTripper].
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	a := running
	if a == nil {
		return c.others.RoundTrip(r)
	}
	running = nil
	libraryCode.Unlock()
	defer func() {
		libraryCode.Lock()
		running = a
	}()
	ctx := a.ctx
	if end, ok := r.Context().Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	a.answer, a.failed = a.transport.Do(ctx, &transport.Request{Request: r, Alias: a.alias, Hidden: a.hidden, MaxAnswer: maxLibraryAnswer})
	switch {
	case a.failed != nil:
		return nil, a.failed
	case a.answer.Status >= 300 && a.answer.Status <= 399:
		return nil, errRedirect
	}
	return &http.Response{
		Status: http.StatusText(a.answer.Status), StatusCode: a.answer.Status, Header: a.answer.Header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(a.answer.Body)), ContentLength: int64(len(a.answer.Body)),
	}, nil
}
