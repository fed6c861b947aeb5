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

// contain runs code of a service, and makes an error of a panic in it. What it
// panicked with may hold anything, and is dropped.
func contain(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the service panicked")
		}
	}()
	return f()
}

// The library gives no context to its requests and lets nobody choose their transport:
// most of its services use [http.DefaultTransport]. So that is the carrier, which has to
// know whose request it is given. It is that of the attempt whose code runs: one runs at
// a time, and none while a request of its own is on its way, so that none waits for
// another's receiver.
var (
	libraryCode sync.Mutex      // held by the attempt whose code runs
	running     *libraryAttempt // which that is
)

// A libraryAttempt is one attempt that the library makes.
type libraryAttempt struct {
	ctx       context.Context
	transport *transport.Transport
	alias     string
	hidden    []string

	answer *transport.Answer // the last
	failed error             // of the last request, which had no answer
}

// run runs code of the library, whose requests are the attempt's.
func (a *libraryAttempt) run(f func() error) error {
	installCarrier()
	libraryCode.Lock()
	defer libraryCode.Unlock()
	running = a
	defer func() { running = nil }()
	return contain(f)
}

// installCarrier puts the carrier in the place of [http.DefaultTransport]. Nothing else
// in the process uses that.
var installCarrier = sync.OnceFunc(func() { http.DefaultTransport = theCarrier })

// A carrier is the transport of the library's requests.
type carrier struct{ others http.RoundTripper }

var theCarrier = carrier{http.DefaultTransport}

// errRedirect ends a request that was answered by a redirect, which is not followed.
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
