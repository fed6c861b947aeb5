// Package notifytest provides a [Receiver] of webhooks for tests. It verifies deliveries,
// keeps them, and answers as its [Config] says: with any status, slowly, or not at all.
//
// [Check] verifies that the received deliveries are complete and in order.
package notifytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"pushwatch/notify/signing"
)

// Config says how a [Receiver] behaves. The zero Config keeps all deliveries, verifies no
// signature, and answers 204.
type Config struct {
	// Keys verify the deliveries. Without keys signatures are ignored: no delivery is
	// Verified, and none is refused for its signature.
	Keys []signing.Key

	// OnDelivery is called with each delivery before it is answered, one at a time
	// and in the order in which they are kept. It may be nil.
	OnDelivery func(Delivery)

	// Fail decides how a delivery is answered, after OnDelivery. It may be called
	// concurrently. Nil: always the zero Answer.
	Fail func(Delivery) Answer

	// MaxBody is the largest accepted body, in bytes; larger ones are answered 413 and
	// not kept. Default 1 MiB.
	MaxBody int64

	// Keep is how many deliveries are kept, the newest ones. Zero keeps all, which suits
	// a test; a long-running receiver should set it.
	Keep int
}

// Receiver is an [http.Handler] that accepts webhooks on any path. Only a POST whose body
// arrives whole is a delivery; other requests are refused and not kept.
type Receiver struct {
	config Config

	recording sync.Mutex // held until OnDelivery returns, so that both have one order

	mu      sync.Mutex
	kept    []Delivery    // appended to and cut at the front, never modified: snapshots share it
	dropped int           // deliveries no longer in kept
	arrived chan struct{} // closed, and replaced, when kept changes
}

// New returns a Receiver for c.
func New(c Config) *Receiver {
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20) // well above the largest event
	return &Receiver{config: c, arrived: make(chan struct{})}
}

// ServeHTTP keeps the delivery and answers it.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "webhooks are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.config.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "body unreadable", http.StatusBadRequest)
		return
	}

	d := r.read(req.Header, body)
	r.record(d)

	var answer Answer
	if r.config.Fail != nil {
		answer = r.config.Fail(d)
	}
	if answer.Status == 0 {
		answer.Status = http.StatusNoContent
		if len(r.config.Keys) > 0 && !d.Verified {
			answer.Status = http.StatusUnauthorized
		}
	}
	answer.write(w, req)
}

// read returns the delivery of a complete request.
func (r *Receiver) read(h http.Header, body []byte) Delivery {
	d := Delivery{
		At:     time.Now(),
		ID:     h.Get(signing.HeaderID),
		Header: h.Clone(),
		Body:   body,
	}
	d.Attempt, _ = strconv.Atoi(h.Get(signing.HeaderAttempt)) // informational: 0 where it is not a number
	if len(r.config.Keys) > 0 {
		d.Err = signing.Verify(r.config.Keys, h, body, d.At)
		d.Verified = d.Err == nil
	}
	event, err := decodeEvent(body)
	if err == nil && event.ID != d.ID {
		err = fmt.Errorf("read webhook: id %q in the body, %q in the header", event.ID, d.ID)
	}
	d.Event = event
	d.Err = cmp.Or(d.Err, err)
	return d
}

// record keeps d, wakes the waiting callers, and calls OnDelivery.
func (r *Receiver) record(d Delivery) {
	r.recording.Lock()
	defer r.recording.Unlock()
	r.mu.Lock()
	r.kept = append(r.kept, d)
	if r.config.Keep > 0 && len(r.kept) > r.config.Keep {
		r.kept = r.kept[1:]
		r.dropped++
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
	r.mu.Unlock()
	if r.config.OnDelivery != nil {
		r.config.OnDelivery(d)
	}
}

// Deliveries returns the kept deliveries, oldest first. The slice is shared: it must not
// be modified.
func (r *Receiver) Deliveries() []Delivery {
	kept, _, _ := r.snapshot()
	return kept
}

func (r *Receiver) snapshot() (kept []Delivery, dropped int, arrived <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[:len(r.kept):len(r.kept)], r.dropped, r.arrived
}

// Wait returns nil once done returns true for the kept deliveries, or an error that wraps
// the cause if ctx ends first. It calls done at once and after each arrival.
func (r *Receiver) Wait(ctx context.Context, done func([]Delivery) bool) error {
	for {
		kept, dropped, arrived := r.snapshot()
		if done(kept) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("wait for deliveries: %w, after %d of them", context.Cause(ctx), dropped+len(kept))
		}
	}
}

// Check calls [Check] on all received deliveries. It is an error if some were dropped
// because of Config.Keep.
func (r *Receiver) Check() (Summary, error) {
	kept, dropped, _ := r.snapshot()
	if dropped > 0 {
		return Summary{}, fmt.Errorf("check deliveries: %d are no longer kept: want a larger Keep", dropped)
	}
	return Check(kept)
}
