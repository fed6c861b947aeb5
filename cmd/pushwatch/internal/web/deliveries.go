package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/notify"
)

// Deliveries is what the API needs of the deliveries; [notify.Dispatcher] has it.
type Deliveries interface {
	Deliveries(ctx context.Context, query notify.Query) ([]notify.Record, error)
	// Delivery and Retry return [notify.ErrNoDelivery] for an unknown delivery.
	Delivery(ctx context.Context, id notify.DeliveryID) (notify.Record, []notify.Attempt, error)
	Retry(ctx context.Context, id notify.DeliveryID) error
	// RetryAll replays the dead deliveries of a notifier that were made between two
	// times, zero for none, and returns how many; [notify.ErrNoNotifier].
	RetryAll(ctx context.Context, notifier string, since, until time.Time) (int, error)
	// Attempts is for the page: see [page.Deliveries].
	Attempts(ctx context.Context, ids []notify.DeliveryID) (map[notify.DeliveryID][]notify.Attempt, error)
}

// deliveryAPI serves /v1/deliveries.
type deliveryAPI struct {
	deliveries Deliveries
	log        *zap.Logger
}

// A Delivery is one event on its way to one notifier. It is exported since it is
// embedded, and huma looks into exported fields only.
type Delivery struct {
	ID            string     `json:"id" example:"dlv_1_42"`
	EventID       string     `json:"event_id" example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Type          string     `json:"type" doc:"The event's type." example:"push.stopped"`
	Subject       string     `json:"subject" doc:"The event's subject." example:"1400000001/ghucnligqtgtvk2624mb"`
	Notifier      string     `json:"notifier" doc:"Whom it goes to." example:"classroom"`
	State         string     `json:"state" enum:"pending,delivered,dead" doc:"dead: given up; kept until it is retried."`
	Attempts      int        `json:"attempts" minimum:"0" doc:"Attempts since it was made or last retried." example:"1"`
	NextAttemptAt *time.Time `json:"next_attempt_at" doc:"When a pending one is tried next; null: as soon as its turn comes, or never again."`
	LastError     string     `json:"last_error" doc:"What the last attempt met; empty: nothing." example:"answer 503"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at" doc:"When it was delivered or given up; null: it is pending."`
}

// deliveryDetail is a delivery with its attempts.
type deliveryDetail struct {
	Delivery
	Log []attempt `json:"log" doc:"The attempts, oldest first; the newest ones, where there were many."`
}

type attempt struct {
	At         time.Time `json:"at" doc:"When it began."`
	Status     int       `json:"status" doc:"The HTTP status of the answer; 0: there was none." example:"503"`
	Error      string    `json:"error" doc:"Why it failed; empty: it did not."`
	DurationMS int64     `json:"duration_ms" minimum:"0" doc:"How long it took, in milliseconds." example:"35"`
}

func showDelivery(r notify.Record) Delivery {
	return Delivery{
		ID: r.ID.String(), EventID: r.EventID, Type: string(r.Type), Subject: r.Subject, Notifier: r.Notifier,
		State: string(r.State), Attempts: r.Attempts, NextAttemptAt: moment(r.NextAttemptAt), LastError: r.LastError,
		CreatedAt: *moment(r.CreatedAt), SettledAt: moment(r.SettledAt),
	}
}

func (a *deliveryAPI) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/v1/deliveries", Tags: []string{"deliveries"},
		Summary: "A page of deliveries, the newest of an account first",
	}, a.list)
	huma.Register(api, huma.Operation{
		OperationID: "get-delivery", Method: http.MethodGet, Path: "/v1/deliveries/{id}", Tags: []string{"deliveries"},
		Summary: "One delivery with its attempts",
	}, a.get)
	huma.Register(api, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/retry", Tags: []string{"deliveries"},
		Summary: "Deliver again what was delivered or given up", DefaultStatus: http.StatusAccepted,
		Description: "The same event, byte for byte, under the same id. A pending one is left as it is.",
	}, a.retry)
	huma.Register(api, huma.Operation{
		OperationID: "retry-deliveries", Method: http.MethodPost, Path: "/v1/deliveries/retry", Tags: []string{"deliveries"},
		Summary: "Deliver again all that was given up for a notifier",
	}, a.retryAll)
}

type deliveriesAnswer struct {
	Body struct {
		Deliveries []Delivery `json:"deliveries"`
		NextCursor string     `json:"next_cursor" doc:"Cursor of the next page; empty: this is the last."`
	}
}

func (a *deliveryAPI) list(ctx context.Context, in *struct {
	State    string `query:"state" enum:"pending,delivered,dead"`
	Notifier string `query:"notifier" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
	Event    string `query:"event" maxLength:"100" doc:"An event's id." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many deliveries."`
	Cursor   string `query:"cursor" maxLength:"100" doc:"next_cursor of the page before."`
}) (*deliveriesAnswer, error) {
	q := notify.Query{State: notify.State(in.State), Notifier: in.Notifier, EventID: in.Event, Limit: in.Limit + 1}
	if in.Cursor != "" {
		var err error
		if q.After, err = notify.ParseDeliveryID(in.Cursor); err != nil {
			return nil, fault("query.cursor", in.Cursor, "want the next_cursor of the page before")
		}
	}
	records, err := a.deliveries.Deliveries(ctx, q)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := &deliveriesAnswer{}
	out.Body.Deliveries = make([]Delivery, 0, len(records))
	for i, r := range records {
		if i == in.Limit { // one more than asked for: there is a next page
			out.Body.NextCursor = records[i-1].ID.String()
			break
		}
		out.Body.Deliveries = append(out.Body.Deliveries, showDelivery(r))
	}
	return out, nil
}

// deliveryPath names a delivery in a URL.
type deliveryPath struct {
	ID string `path:"id" pattern:"^dlv_[0-9]{1,19}_[0-9]{1,19}$" patternDescription:"an id of a delivery, such as dlv_1_42" example:"dlv_1_42"`
}

func (a *deliveryAPI) get(ctx context.Context, in *deliveryPath) (*struct{ Body deliveryDetail }, error) {
	id, err := notify.ParseDeliveryID(in.ID)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	record, attempts, err := a.deliveries.Delivery(ctx, id)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := &struct{ Body deliveryDetail }{deliveryDetail{Delivery: showDelivery(record), Log: []attempt{}}}
	for _, t := range attempts {
		out.Body.Log = append(out.Body.Log, attempt{At: *moment(t.At), Status: t.Status, Error: t.Error, DurationMS: t.Duration.Milliseconds()})
	}
	return out, nil
}

func (a *deliveryAPI) retry(ctx context.Context, in *deliveryPath) (*struct{}, error) {
	id, err := notify.ParseDeliveryID(in.ID)
	if err == nil {
		err = a.deliveries.Retry(ctx, id)
	}
	return nil, a.failure(ctx, err)
}

type replayAnswer struct {
	Body struct {
		Replayed int `json:"replayed" doc:"How many are delivered again." example:"12"`
	}
}

func (a *deliveryAPI) retryAll(ctx context.Context, in *struct {
	Body struct {
		Notifier string    `json:"notifier" minLength:"1" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
		Since    time.Time `json:"since,omitzero" doc:"Only what was made then or later." example:"2026-11-22T18:00:00Z"`
		Until    time.Time `json:"until,omitzero" doc:"Only what was made before." example:"2026-11-22T19:00:00Z"`
	}
}) (*replayAnswer, error) {
	n, err := a.deliveries.RetryAll(ctx, in.Body.Notifier, in.Body.Since, in.Body.Until)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := &replayAnswer{}
	out.Body.Replayed = n
	return out, nil
}

func (a *deliveryAPI) failure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, notify.ErrNoDelivery):
		return huma.Error404NotFound("no such delivery: GET /v1/deliveries lists them")
	case errors.Is(err, notify.ErrNoNotifier):
		return fault("body.notifier", nil, "want the name of a notifier in the settings: GET /v1/notifiers lists them")
	}
	return failure(ctx, a.log, err)
}
