package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/cmd/pushwatch/internal/web/page"
)

// Limits of bodies, in bytes.
const (
	maxCallback = 64 << 10
	maxForm     = 4 << 10  // of a form that needs no sign-in
	maxBody     = 64 << 10 // of any other request, such as one task
	maxBatch    = 16 << 20

	// largeBody is the size above which bodies are handled one at a time: parsed, they take
	// several times their size.
	largeBody = 1 << 20
)

// Limits of all bodies together, in bytes. Each budget is separate: callbacks and forms need
// no token, and batches must leave room for single tasks.
const (
	publicBudget = 8 << 20
	batchBudget  = 40 << 20
	otherBudget  = 16 << 20
)

// Timeouts for a body to arrive.
const (
	stallTimeout = 5 * time.Second // between two parts
	publicTime   = 5 * time.Second // for a whole callback or public form
	bodyTime     = 30 * time.Second
)

// A bodyRule limits the bodies of some routes.
type bodyRule struct {
	limit  int64         // bytes
	within time.Duration // for the whole body to arrive
	budget *budget       // shared with other bodies
	json   bool          // it is JSON, within [bounds]
}

// A budget limits the memory of all bodies that are being read or handled.
type budget struct{ free atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := new(budget)
	b.free.Store(bytes)
	return b
}

// take takes n bytes, if that many are free. A negative n returns bytes.
func (b *budget) take(n int64) bool {
	if left := b.free.Add(-n); left < 0 && n > 0 {
		b.free.Add(n)
		return false
	}
	return true
}

// bodies reads the bodies of requests, within limits, before they are handled.
type bodies struct {
	callback, publicForm, form, batch, other bodyRule
	large                                    chan struct{} // full while a large body is handled
}

func newBodies() *bodies {
	public, other := newBudget(publicBudget), newBudget(otherBudget)
	return &bodies{
		callback:   bodyRule{maxCallback, publicTime, public, false},
		publicForm: bodyRule{maxForm, publicTime, public, false},
		form:       bodyRule{maxBody, bodyTime, other, false},
		batch:      bodyRule{maxBatch, bodyTime, newBudget(batchBudget), true},
		other:      bodyRule{maxBody, bodyTime, other, true},
		large:      make(chan struct{}, 1),
	}
}

// rule returns the limits of a path's bodies; a limit of 0: none is read.
func (b *bodies) rule(path string) bodyRule {
	switch {
	case path == batchPath:
		return b.batch
	case strings.HasPrefix(path, callbackPath):
		if _, err := callbackApp(path); err != nil {
			return bodyRule{}
		}
		return b.callback
	case public(path):
		return bodyRule{}
	case page.Public(path):
		return b.publicForm
	case page.Owns(path):
		return b.form
	}
	return b.other
}

// read passes on requests whose bodies it has read completely, and answers the others. It
// must come after authentication.
func (b *bodies) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule := b.rule(r.URL.Path)
		if rule.limit == 0 {
			dropBody(w, r)
		}
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		body, err := rule.read(w, r)
		defer rule.budget.take(-int64(cap(body)))
		if err == nil && len(body) > largeBody {
			err = b.enterLarge(r.Context())
			defer b.leaveLarge(err)
		}
		if refusal, ok := errors.AsType[*bodyError](err); ok {
			refusal.answer(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// readForms is read for the page, which authenticates requests itself. It reads no body of a
// request that is answered with the sign-in page.
func (b *bodies) readForms(auth *authenticator, site http.Handler) http.Handler {
	read := b.read(site)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, signedIn := auth.User(r)
		if user.Name != "" {
			phaseOf(r.Context()).enter(serving)
		}
		if signedIn || page.Public(r.URL.Path) {
			read.ServeHTTP(w, r)
			return
		}
		dropBody(w, r)
		site.ServeHTTP(w, r)
	})
}

// enterLarge waits until no other large body is being handled.
func (b *bodies) enterLarge(ctx context.Context) error {
	select {
	case b.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

func (b *bodies) leaveLarge(entered error) {
	if entered == nil {
		<-b.large
	}
}

// A bodyError is a body that was not read.
type bodyError struct {
	status int
	detail string
	faults []*api.Fault
}

func (e *bodyError) Error() string { return e.detail }

func (e *bodyError) answer(w http.ResponseWriter) {
	if e.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if e.faults == nil { // otherwise the body was read to its end
		w.Header().Set("Connection", "close")
	}
	problem(w, e.status, e.detail, e.faults...)
}

var errBusy = &bodyError{
	status: http.StatusServiceUnavailable,
	detail: "other requests use all the memory for request bodies: try again",
}

// read reads a body. The capacity of the result is taken from the budget, even on error.
func (rule bodyRule) read(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	tooLarge := &bodyError{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("the body is too large: want at most %d bytes", rule.limit)}
	if r.ContentLength > rule.limit {
		return nil, tooLarge
	}
	most := rule.limit + 1 // one more byte shows that it is too large
	if r.ContentLength > 0 {
		most = r.ContentLength + 1 // with room to read the end
	}
	part := rule.parts(w, r)
	var size int64 // received so far
	var inside bounds
	var outside *boundError
	for {
		if outside != nil {
			body = body[:0] // the rest is read and dropped, so that the client gets the answer
		} else if len(body) == cap(body) {
			if body, err = rule.grow(body, most); err != nil {
				return body, err
			}
		}
		n, err := part(body[len(body):cap(body)])
		if rule.json && outside == nil {
			outside, _ = errors.AsType[*boundError](inside.scan(body[len(body) : len(body)+n]))
		}
		body = body[:len(body)+n]
		size += int64(n)
		switch {
		case size > rule.limit:
			return body, tooLarge
		case err == io.EOF && outside != nil:
			return body, &bodyError{http.StatusUnprocessableEntity, "the request is invalid", []*api.Fault{{Location: outside.location, Message: "want " + outside.want}}}
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, err
		}
	}
}

// grow makes room for more of a body.
func (rule bodyRule) grow(body []byte, most int64) ([]byte, error) {
	before := int64(cap(body))
	size := min(max(4<<10, 2*before), most)
	if !rule.budget.take(size - before) {
		return body, errBusy
	}
	return append(make([]byte, 0, size), body...), nil
}

// parts returns a function that reads the next part of a body. Its error is io.EOF or a
// [*bodyError].
func (rule bodyRule) parts(w http.ResponseWriter, r *http.Request) func([]byte) (int, error) {
	rc := http.NewResponseController(w)
	deadline := time.Now().Add(rule.within)
	return func(part []byte) (int, error) {
		stalled := time.Now().Add(stallTimeout)
		if stalled.After(deadline) {
			stalled = deadline
		}
		rc.SetReadDeadline(stalled)
		n, err := r.Body.Read(part)
		switch {
		case err == nil:
			return n, nil
		case err == io.EOF:
			rc.SetReadDeadline(time.Time{})
			return n, io.EOF
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n, &bodyError{status: http.StatusRequestTimeout, detail: fmt.Sprintf("the body did not arrive within %s, or stalled for %s", rule.within, stallTimeout)}
		}
		return n, &bodyError{status: http.StatusBadRequest, detail: "the body is incomplete"}
	}
}
