package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/watcher"
)

// Events reads the saved events. The database implements it.
type Events interface {
	page.Events
	// Events reads a page; [watcher.ErrPosition] if it begins past the newest event.
	Events(ctx context.Context, query watcher.EventQuery) (watcher.EventPage, error)
	// LastEvents returns the position of the newest event.
	LastEvents(ctx context.Context) (watcher.Position, error)
	// Changed returns a channel that is closed when this process next saves an
	// event. It may stay open when other processes save one.
	Changed() <-chan struct{}
}

// An EventFilter is the parameters that select events. It is exported because huma ignores
// unexported embedded fields.
type EventFilter struct {
	Type    []string `query:"type,explode" maxItems:"20" doc:"A type, or a pattern such as push.*. May be repeated: one must match. Default: all." example:"[\"push.stopped\",\"push.failed\"]"`
	Subject string   `query:"subject" maxLength:"200" doc:"The subject: {sdk_app_id}/{task_id} for the events of a task." example:"1400000001/ghucnligqtgtvk2624mb"`
}

// query returns the filter in the store's form.
func (f EventFilter) query() (watcher.EventQuery, error) {
	q := watcher.EventQuery{Subject: f.Subject}
	for _, pattern := range f.Type {
		types := watcher.EventTypesLike(pattern)
		if types == nil {
			return q, fault("query.type", pattern, "want an event type, such as push.stopped, or a pattern, such as push.*")
		}
		q.Types = append(q.Types, types...)
	}
	return q, nil
}

// now is a cursor that means the newest event.
const now = "now"

// position reads a cursor. location is its place in the request, for errors.
func (a *apiServer) position(ctx context.Context, location, cursor string) (watcher.Position, error) {
	switch cursor {
	case "":
		return watcher.Position{}, nil
	case now:
		return a.Events.LastEvents(ctx)
	}
	p, err := readEventCursor(cursor)
	if err != nil {
		return nil, fault(location, cursor, `want the cursor of the previous page, "now", or none to begin with the oldest event`)
	}
	return p, nil
}

// eventPage reads a page that begins at a cursor, and sets the query's position to it.
func (a *apiServer) eventPage(ctx context.Context, q *watcher.EventQuery, location, cursor string) (page watcher.EventPage, err error) {
	if q.After, err = a.position(ctx, location, cursor); err != nil {
		return page, err
	}
	page, err = a.Events.Events(ctx, *q)
	if errors.Is(err, watcher.ErrPosition) {
		err = fault(location, cursor, "want a cursor of this database: this one is past its newest event, which happens after a backup was restored. Start again without a cursor")
	}
	return page, err
}

func (a *apiServer) eventRoutes() {
	handleJSON(a, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events",
		Summary:     "List events",
		Description: "To read all events, and new ones as they happen, request with the cursor of the previous answer. No event ever appears before a cursor that was already returned. The events of ended tasks are deleted after store.retention.",
	}, a.listEvents)
	handle(a, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: streamPath,
		Summary: "Stream events as they happen, as server-sent events",
		Description: "The id of each is its cursor, the event its type, and the data the event on one line. Comments keep the connection alive. " +
			"The stream can end at any time, for example if the reader does not read for a while: connect again with Last-Event-ID, and nothing is lost or repeated.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream. It has no end.",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
				Type: huma.TypeString, Examples: []any{"id: AQEq\nevent: push.stopped\ndata: {\"specversion\":\"1.0\",…}\n\n"},
			}}},
		}},
	}, a.streamEvents)
}

func (a *apiServer) listEvents(ctx context.Context, in *struct {
	EventFilter
	After  string `query:"after" maxLength:"16384" doc:"The cursor of the previous page; \"now\": only new events; left out: from the oldest." example:"AQEq"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many events."`
	Newest bool   `query:"newest" doc:"Return the newest matching events instead of the oldest, also oldest first. The cursor is that of the newest event, to continue with new ones."`
}) (out api.Events, err error) {
	q, err := in.query()
	if err != nil {
		return out, err
	}
	q.Limit, q.Newest = in.Limit, in.Newest
	page, err := a.eventPage(ctx, &q, "query.after", in.After)
	out.Cursor, out.Events = eventCursor(page.Next), make([]api.FrozenEvent, len(page.Events))
	for i, e := range page.Events {
		out.Events[i] = api.FrozenEvent(e.Body)
	}
	return out, err
}

func (a *apiServer) streamEvents(ctx context.Context, in *struct {
	EventFilter
	After       string `query:"after" maxLength:"16384" doc:"As for the list." example:"now"`
	LastEventID string `header:"Last-Event-ID" maxLength:"16384" doc:"The id of the last event that was read. It takes precedence over after. Browsers send it automatically."`
}) (*huma.StreamResponse, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	location, cursor := "query.after", in.After
	if in.LastEventID != "" {
		location, cursor = "header.Last-Event-ID", in.LastEventID
	}
	q.Limit = 1
	if _, err := a.eventPage(ctx, &q, location, cursor); err != nil { // an error can still be answered here
		return nil, err
	}
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("too many streams are open: try again later, or read /v1/events"),
			http.Header{"Retry-After": {"10"}})
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer a.streams.Add(-1)
		r, w := humago.Unwrap(c)
		a.writeStream(w, r, q)
	}}, nil
}
