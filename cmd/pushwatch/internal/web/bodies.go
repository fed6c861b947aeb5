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
	maxForm     = 4 << 10  // of one that needs no sign-in
	maxBody     = 64 << 10 // of any other request, such as one task
	maxBatch    = 16 << 20

	// largeBody is from where on bodies are handled one at a time: what they are parsed to
	// takes several times their size.
	largeBody = 1 << 20
)

// All bodies together. What is left of one part is not used by another: callbacks and
// forms need no token, and batches must leave room for single tasks.
const (
	publicBudget = 8 << 20
	batchBudget  = 40 << 20
	otherBudget  = 16 << 20
)

// Times for a body to arrive.
const (
	stallTimeout = 5 * time.Second // between two parts
	publicTime   = 5 * time.Second // for a callback or form, whole
	bodyTime     = 30 * time.Second
)

// A bodyRule bounds the bodies of some routes.
type bodyRule struct {
	limit  int64
	within time.Duration // for all of it to arrive
	budget *budget       // shared with other bodies
	json   bool          // it is JSON, within [bounds]
}

// A budget bounds the memory of bodies that are read or handled at once.
type budget struct{ free atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := new(budget)
	b.free.Store(bytes)
	return b
}

// take takes n bytes, if that many are free. It gives bytes back where n is negative.
func (b *budget) take(n int64) bool {
	if left := b.free.Add(-n); left < 0 && n > 0 {
		b.free.Add(n)
		return false
	}
	return true
}

// bodies reads the bodies of requests before anything else looks at them.
type bodies struct {
	callback, publicForm, form, batch, other bodyRule
	large                                    chan struct{} // holds one token while a large body is handled
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

// rule is what bounds the bodies of a path. The limit is 0 where none is read.
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

// read passes on requests with their bodies whole, or answers them. It must stand behind
// what authenticates requests.
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

// readForms is read for the page, which authenticates by itself: of a request that leads to
// the sign-in no body is read.
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

// enterLarge waits until no other large body is handled.
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
	if e.faults == nil { // else it was read to its end
		w.Header().Set("Connection", "close")
	}
	problem(w, e.status, e.detail, e.faults...)
}

var errBusy = &bodyError{
	status: http.StatusServiceUnavailable,
	detail: "the bodies of other requests take all the memory there is for bodies: try again",
}

// read reads a body. Its capacity is taken from the budget, with an error too.
func (rule bodyRule) read(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	tooLarge := &bodyError{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("the body is too large: want at most %d bytes", rule.limit)}
	if r.ContentLength > rule.limit {
		return nil, tooLarge
	}
	most := rule.limit + 1 // one more shows that it is too large
	if r.ContentLength > 0 {
		most = r.ContentLength + 1 // one more, for the end to be seen
	}
	part := rule.parts(w, r)
	var size int64 // that has arrived
	var inside bounds
	var outside *boundError
	for {
		if outside != nil {
			body = body[:0] // what still comes is read for the answer to reach the client
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
			return body, &bodyError{http.StatusUnprocessableEntity, "the request is faulty", []*api.Fault{{Location: outside.location, Message: "want " + outside.want}}}
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

// parts returns what reads the next part of a body. Its error is io.EOF or a [*bodyError].
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
			return n, &bodyError{status: http.StatusRequestTimeout, detail: fmt.Sprintf("the body did not arrive within %s, or nothing of it came for %s", rule.within, stallTimeout)}
		}
		return n, &bodyError{status: http.StatusBadRequest, detail: "the body did not arrive whole"}
	}
}
