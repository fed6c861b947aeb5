package notifytest

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"
)

// Answer is how a delivery is answered. The zero Answer is 204, or 401 where
// the receiver has keys and none of them verifies the delivery.
type Answer struct {
	// Status is the HTTP status; zero as above. One that allows no body, such
	// as 204, goes out without Body.
	Status int
	// Header is sent along, such as Retry-After.
	Header http.Header
	// Body is sent behind it.
	Body string

	// Delay passes before the answer begins.
	Delay time.Duration
	// Drip, if not zero, sends Body a byte at a time and passes before each.
	Drip time.Duration
	// Hang answers nothing until the sender gives up, and then drops the
	// connection. A sender that never gives up is held for good.
	Hang bool
	// Drop closes the connection without an answer, after Delay. It does so by
	// a panic with [http.ErrAbortHandler], which net/http's server expects.
	Drop bool
}

// write answers req. If the sender goes away first, the rest is left out.
func (a Answer) write(w http.ResponseWriter, req *http.Request) {
	ctx := req.Context()
	if a.Hang {
		<-ctx.Done()
	}
	if !sleep(ctx, a.Delay) || a.Drop {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), a.Header)
	w.WriteHeader(a.Status)
	if a.Drip == 0 {
		io.WriteString(w, a.Body)
		return
	}
	for i := range len(a.Body) {
		http.NewResponseController(w).Flush() // the header first, then byte by byte
		if !sleep(ctx, a.Drip) {
			return
		}
		io.WriteString(w, a.Body[i:i+1])
	}
}

// sleep returns false at once when ctx has ended or ends before d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
