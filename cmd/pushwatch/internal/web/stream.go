package web

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

const (
	// maxStreams is how many streams may be open: fewer than connections, so that streams
	// cannot use them all.
	maxStreams = 1000
	// streamPage is how many events are read, and then written, at a time. It bounds the
	// memory per reader.
	streamPage = 50
)

// A streamPace is the timing of a stream. A zero field is its default.
type streamPace struct {
	keepAlive    time.Duration // between the comments that keep a connection alive; default 10 s
	pollEvery    time.Duration // between reads of events that other processes saved; default 1 s
	batchDelay   time.Duration // after a write, so that events of a burst are written together; default 100 ms
	writeTimeout time.Duration // for a reader that does not read; default 15 s
}

func (p streamPace) withDefaults() streamPace {
	return streamPace{
		keepAlive: cmp.Or(p.keepAlive, 10*time.Second), pollEvery: cmp.Or(p.pollEvery, time.Second),
		batchDelay: cmp.Or(p.batchDelay, 100*time.Millisecond), writeTimeout: cmp.Or(p.writeTimeout, 15*time.Second),
	}
}

// writeStream writes events until the reader disconnects, stops reading or loses its access,
// or until the daemon stops. Between two pages it holds no events in memory: each reader
// reads at its own speed.
func (a *apiServer) writeStream(w http.ResponseWriter, r *http.Request, q watcher.EventQuery) {
	out := streamWriter{http.NewResponseController(w), w, a.pace.writeTimeout}
	out.SetReadDeadline(time.Time{}) // the request has been read; only its end can follow
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx would buffer it
	if r.Method == http.MethodHead {
		return
	}
	phaseOf(r.Context()).enter(streaming)
	q.Limit = streamPage
	err := out.comment("pushwatch", q.After)
	keepAlive := time.NewTicker(a.pace.keepAlive)
	defer keepAlive.Stop()
	for again := err == nil; again; {
		again, err = a.writePage(r, out, &q, keepAlive.C)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // otherwise the reader has disconnected
		a.Log.Warn("event stream timed out", zap.Duration("write_timeout", a.pace.writeTimeout))
	}
}

// writePage writes the next page of a stream and waits until there may be another. It
// reports whether the stream continues; an error is a write error.
func (a *apiServer) writePage(r *http.Request, out streamWriter, q *watcher.EventQuery, keepAlive <-chan time.Time) (again bool, err error) {
	_, replaced := a.auth.now()
	if !a.auth.mayRead(r) {
		return false, out.comment("this token is no longer valid: connect again with another", q.After)
	}
	changed := a.Events.Changed() // before reading, so that no event in between is missed
	page, err := a.Events.Events(r.Context(), *q)
	if err != nil {
		if r.Context().Err() != nil {
			return false, nil
		}
		a.Log.Error("read events for stream", zap.Error(err))
		return false, out.comment("the database failed: connect again", q.After)
	}
	if err := out.page(q.After, page); err != nil {
		return false, err
	}
	q.After = page.Next
	if len(page.Events) == streamPage {
		return true, nil
	}
	pause := a.pace.pollEvery
	if len(page.Events) > 0 {
		changed, pause = nil, a.pace.batchDelay
	}
	select {
	case <-changed:
	case <-replaced:
	case <-time.After(pause):
	case <-keepAlive:
		err = out.comment("alive", q.After)
	case <-a.Stopping:
		return false, out.comment("pushwatch is stopping: connect again", q.After)
	case <-r.Context().Done():
		return false, nil
	}
	return err == nil, err
}

// A streamWriter writes server-sent events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type streamWriter struct {
	*http.ResponseController
	w       http.ResponseWriter
	timeout time.Duration // of a write
}

// comment writes a comment, and the position as an id without an event: a reader that
// reconnects then skips events that its filter excluded.
func (s streamWriter) comment(text string, at watcher.Position) error {
	s.SetWriteDeadline(time.Now().Add(s.timeout))
	fmt.Fprintf(s.w, ": %s\nid: %s\n\n", text, eventCursor(at))
	return s.Flush()
}

// page writes a page of events that begins at a position.
func (s streamWriter) page(at watcher.Position, page watcher.EventPage) error {
	if len(page.Events) == 0 {
		return nil
	}
	at = maps.Clone(at)
	var text []byte
	for _, e := range page.Events {
		at[e.Shard] = e.Number
		// A body is JSON on one line.
		text = fmt.Appendf(text, "id: %s\nevent: %s\ndata: %s\n\n", eventCursor(at), e.Type, e.Body)
	}
	s.SetWriteDeadline(time.Now().Add(s.timeout))
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.Flush()
}
