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
	// maxStreams is how many streams are open at once: fewer than connections, so
	// that their readers cannot keep everybody else out.
	maxStreams = 1000
	// streamPage is how many events are read, and then written, at a time. It is
	// all the memory that a reader costs.
	streamPage = 50
)

// A streamPace says when things happen in a stream. A zero field is its default.
type streamPace struct {
	beat     time.Duration // between the comments that keep a connection alive; default 10 s
	recheck  time.Duration // between looks for what other processes have saved; default 1 s
	rest     time.Duration // after a write, for what comes at once to be written at once; default 100 ms
	patience time.Duration // with a reader that takes nothing; default 15 s
}

func (p streamPace) withDefaults() streamPace {
	return streamPace{
		beat: cmp.Or(p.beat, 10*time.Second), recheck: cmp.Or(p.recheck, time.Second),
		rest: cmp.Or(p.rest, 100*time.Millisecond), patience: cmp.Or(p.patience, 15*time.Second),
	}
}

// enter takes a place for a stream, if there is one.
func (a *eventAPI) enter() bool {
	if a.open.Add(1) > maxStreams {
		a.open.Add(-1)
		return false
	}
	return true
}

// follow writes events until the reader goes away, takes nothing, or may not read
// any more, or the daemon stops. Between two pages it holds none: a reader is woken and reads what there
// is, at its own speed.
func (a *eventAPI) follow(w http.ResponseWriter, r *http.Request, q watcher.EventQuery) {
	ctx := r.Context()
	out := streamWriter{http.NewResponseController(w), w, a.pace.patience}
	out.SetReadDeadline(time.Time{}) // the request has been read; what follows is only its end
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would collect it
	if r.Method == http.MethodHead {
		return
	}
	q.Limit = streamPage
	err := out.say("pushwatch", q.After)
	beat := time.NewTicker(a.pace.beat)
	defer beat.Stop()
	for err == nil {
		_, replaced := a.door.now()
		if !a.door.admits(r) {
			out.say("this token is not valid any more: connect again with another", q.After)
			return
		}
		changed := a.events.Changed() // before the reading, or something between them would go unnoticed
		page, failed := a.events.Events(ctx, q)
		if failed != nil {
			if ctx.Err() == nil {
				a.log.Error("read events for a stream", zap.Error(failed))
				out.say("the database does not answer as it should: connect again", q.After)
			}
			return
		}
		if err = out.page(q.After, page); err != nil {
			break
		}
		q.After = page.Next
		if len(page.Events) == streamPage {
			continue
		}
		pause := a.pace.recheck
		if len(page.Events) > 0 {
			changed, pause = nil, a.pace.rest
		}
		select {
		case <-changed:
		case <-replaced:
		case <-time.After(pause):
		case <-beat.C:
			err = out.say("alive", q.After)
		case <-a.done:
			out.say("pushwatch stops: connect again", q.After)
			return
		case <-ctx.Done():
			return
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // else it has gone away
		a.log.Warn("event stream cut off: its reader takes nothing", zap.Duration("waited", a.pace.patience))
	}
}

// A streamWriter writes server-sent events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type streamWriter struct {
	*http.ResponseController
	w        http.ResponseWriter
	patience time.Duration
}

// say writes a comment, and the position as an id without an event: a reader that
// connects again need not pass by what its filter has left out.
func (s streamWriter) say(comment string, at watcher.Position) error {
	s.SetWriteDeadline(time.Now().Add(s.patience))
	fmt.Fprintf(s.w, ": %s\nid: %s\n\n", comment, eventCursor(at))
	return s.Flush()
}

// page writes a page that begins at a position.
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
	s.SetWriteDeadline(time.Now().Add(s.patience))
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.Flush()
}
