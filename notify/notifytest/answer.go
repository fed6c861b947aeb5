package notifytest

import (
	"io"
	"maps"
	"net/http"
	"time"

	"pushwatch/watcher/loop"
)

// Answer is how the receiver answers a delivery. The zero Answer is 204, or 401 if the
// receiver has keys and none of them verifies the delivery.
type Answer struct {
	// Status is the HTTP status; zero as above. One that allows no body, such as 204, is
	// sent without Body.
	Status int
	// Header holds headers of the answer, such as Retry-After.
	Header http.Header
	// Body is the answer's body.
	Body string

	// Delay is the time before the answer begins.
	Delay time.Duration
	// Drip, if not zero, sends Body byte by byte, each after this time.
	Drip time.Duration
	// Hang sends nothing until the sender gives up, however long that takes, and then
	// drops the connection.
	Hang bool
	// Drop closes the connection without an answer, after Delay. It panics with
	// [http.ErrAbortHandler], which net/http's server expects.
	Drop bool
}

// write answers req. It stops if the sender goes away.
func (a Answer) write(w http.ResponseWriter, req *http.Request) {
	ctx := req.Context()
	if a.Hang {
		<-ctx.Done()
	}
	if !loop.Sleep(ctx, a.Delay) || a.Drop || a.Hang {
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
		if !loop.Sleep(ctx, a.Drip) {
			return
		}
		io.WriteString(w, a.Body[i:i+1])
	}
}
