package web

import (
	"context"
	"errors"
	"net/http"
	"path"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/watcher"
)

// Events is what the API and the page need of the saved events.
type Events interface {
	page.Events
	// Events reads a page; [watcher.ErrPosition] where it begins past the newest
	// event.
	Events(ctx context.Context, query watcher.EventQuery) (watcher.EventPage, error)
	// LastEvents returns the position of the newest event.
	LastEvents(ctx context.Context) (watcher.Position, error)
	// Changed returns a channel that is closed when this process next saves an
	// event. It may stay open when other processes save one.
	Changed() <-chan struct{}
}

// eventAPI serves /v1/events.
type eventAPI struct {
	events   Events
	auth     *authenticator
	log      *zap.Logger
	stopping <-chan struct{} // closed when the daemon stops
	pace     streamPace
	streams  atomic.Int64 // open now
}

// An EventFilter chooses events in a query. It is exported since it is embedded, and
// huma looks into exported fields only.
type EventFilter struct {
	Type    []string `query:"type,explode" maxItems:"20" doc:"A type, or a pattern such as push.*; may be repeated, then one has to match. Default: all." example:"[\"push.stopped\",\"push.failed\"]"`
	Subject string   `query:"subject" maxLength:"200" doc:"The subject: {sdk_app_id}/{task_id} for the events of a task." example:"1400000001/ghucnligqtgtvk2624mb"`
}

// query is the filter as the store takes it.
func (f EventFilter) query() (watcher.EventQuery, error) {
	q := watcher.EventQuery{Subject: f.Subject}
	for _, pattern := range f.Type {
		known := false
		for _, t := range watcher.EventTypes {
			if ok, _ := path.Match(pattern, string(t)); ok {
				q.Types, known = append(q.Types, t), true
			}
		}
		if !known {
			return q, fault("query.type", pattern, "want a type of event, such as push.stopped, or a pattern, such as push.*")
		}
	}
	return q, nil
}

// now stands for the cursor of the newest event.
const now = "now"

// position reads a cursor that name gives: of a query or a header.
func (a *eventAPI) position(ctx context.Context, location, cursor string) (watcher.Position, error) {
	switch cursor {
	case "":
		return watcher.Position{}, nil
	case now:
		p, err := a.events.LastEvents(ctx)
		return p, failure(ctx, a.log, err)
	}
	p, err := readEventCursor(cursor)
	if err != nil {
		return nil, fault(location, cursor, `want the cursor of the page before, "now", or none, which is the oldest event`)
	}
	return p, nil
}

// page reads a page that begins at a cursor.
func (a *eventAPI) page(ctx context.Context, q watcher.EventQuery, location, cursor string) (watcher.EventPage, error) {
	page, err := a.events.Events(ctx, q)
	if errors.Is(err, watcher.ErrPosition) {
		return page, fault(location, cursor, "want a cursor of this database: this one lies past its newest event, as after the restoring of a backup. Begin anew without one")
	}
	return page, failure(ctx, a.log, err)
}

func (a *eventAPI) register(r huma.API) {
	handle(r, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"events"},
		Summary:     "A page of events",
		Description: "To read all events and go on with what comes: ask with the cursor of each answer again. An event never appears behind a cursor that was given before it. The events of ended tasks are dropped after store.retention.",
	}, a.list)
	handle(r, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/v1/events/stream", Tags: []string{"events"},
		Summary: "The events as they come, as server-sent events",
		Description: "Each has the cursor as its id, the type as its event and the event on one line as its data. Comments keep the connection alive. " +
			"The stream can end at any time, and does so for a reader that takes nothing for a while: connect again with Last-Event-ID, and nothing is lost or repeated.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream. It does not end by itself.",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
				Type: huma.TypeString, Examples: []any{"id: AQEq\nevent: push.stopped\ndata: {\"specversion\":\"1.0\",…}\n\n"},
			}}},
		}},
	}, a.stream)
}

func (a *eventAPI) list(ctx context.Context, in *struct {
	EventFilter
	After  string `query:"after" maxLength:"16384" doc:"The cursor of the page before; \"now\": only what comes from now on; left out: from the oldest." example:"AQEq"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many events."`
	Newest bool   `query:"newest" doc:"The newest events that match, instead of the oldest; also oldest first. The cursor is that of the newest event, to go on with what comes."`
}) (*struct{ Body api.Events }, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	if q.After, err = a.position(ctx, "query.after", in.After); err != nil {
		return nil, err
	}
	q.Limit, q.Newest = in.Limit, in.Newest
	page, err := a.page(ctx, q, "query.after", in.After)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body api.Events }{}
	out.Body.Cursor = eventCursor(page.Next)
	out.Body.Events = make([]api.FrozenEvent, len(page.Events))
	for i, e := range page.Events {
		out.Body.Events[i] = api.FrozenEvent(e.Body)
	}
	return out, nil
}

func (a *eventAPI) stream(ctx context.Context, in *struct {
	EventFilter
	After       string `query:"after" maxLength:"16384" doc:"As for the list." example:"now"`
	LastEventID string `header:"Last-Event-ID" maxLength:"16384" doc:"The id of the last event that was read; it counts more than after. Browsers send it by themselves."`
}) (*huma.StreamResponse, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	location, cursor := "query.after", in.After
	if in.LastEventID != "" {
		location, cursor = "header.Last-Event-ID", in.LastEventID
	}
	if q.After, err = a.position(ctx, location, cursor); err != nil {
		return nil, err
	}
	q.Limit = 1
	if _, err := a.page(ctx, q, location, cursor); err != nil { // here it can still be answered
		return nil, err
	}
	if !a.acquireStream() {
		return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("as many streams are open as this process serves: try again later, or read /v1/events"),
			http.Header{"Retry-After": {"10"}})
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer a.streams.Add(-1)
		r, w := humago.Unwrap(c)
		a.writeStream(w, r, q)
	}}, nil
}
