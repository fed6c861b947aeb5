package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify"
)

// Deliveries reads and replays deliveries. [notify.Dispatcher] implements it.
type Deliveries interface {
	Deliveries(ctx context.Context, query notify.Query) ([]notify.Record, error)
	// Delivery and Retry return [notify.ErrNoDelivery] for an unknown delivery.
	Delivery(ctx context.Context, id notify.DeliveryID) (notify.Record, []notify.Attempt, error)
	Retry(ctx context.Context, id notify.DeliveryID) (int, error)
	// RetryAll replays the dead deliveries of a notifier that were made between two
	// times, zero for no bound, and returns how many; [notify.ErrNoNotifier] for an
	// unknown notifier.
	RetryAll(ctx context.Context, notifier string, since, until time.Time) (int, error)
	// Attempts is for the page: see [page.Deliveries].
	Attempts(ctx context.Context, ids []notify.DeliveryID) (map[notify.DeliveryID][]notify.Attempt, error)
}

// deliveryAPI serves /v1/deliveries.
type deliveryAPI struct {
	deliveries Deliveries
	log        *zap.Logger
}

func showDelivery(r notify.Record) api.Delivery {
	return api.Delivery{
		ID: r.ID.String(), EventID: r.EventID, Type: string(r.Type), Subject: r.Subject, Notifier: r.Notifier,
		State: string(r.State), Attempts: r.Attempts, NextAttemptAt: timeOrNull(r.NextAttemptAt), LastError: r.LastError,
		WaitsFor: r.WaitsFor.String(), CreatedAt: *timeOrNull(r.CreatedAt), SettledAt: timeOrNull(r.SettledAt),
	}
}

func (a *deliveryAPI) register(r huma.API) {
	handle(r, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/v1/deliveries", Tags: []string{"deliveries"},
		Summary: "List deliveries, newest first within an account",
	}, a.list)
	handle(r, huma.Operation{
		OperationID: "get-delivery", Method: http.MethodGet, Path: "/v1/deliveries/{id}", Tags: []string{"deliveries"},
		Summary: "Get a delivery with its attempts",
	}, a.get)
	handle(r, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/retry", Tags: []string{"deliveries"},
		Summary: "Send a delivered or dead delivery again", DefaultStatus: http.StatusAccepted,
		Description: "The receiver gets the same event, byte for byte, with the same id. A pending delivery is left unchanged and not counted.",
	}, a.retry)
	handle(r, huma.Operation{
		OperationID: "retry-deliveries", Method: http.MethodPost, Path: "/v1/deliveries/retry", Tags: []string{"deliveries"},
		Summary: "Send the dead deliveries of a notifier again",
	}, a.retryAll)
}

func (a *deliveryAPI) list(ctx context.Context, in *struct {
	State    string `query:"state" enum:"pending,delivered,dead"`
	Notifier string `query:"notifier" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
	Event    string `query:"event" maxLength:"100" doc:"An event's id." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many deliveries."`
	Cursor   string `query:"cursor" maxLength:"100" doc:"next_cursor of the previous page."`
}) (*answer[api.Deliveries], error) {
	q := notify.Query{State: notify.State(in.State), Notifier: in.Notifier, EventID: in.Event, Limit: in.Limit + 1}
	if in.Cursor != "" {
		var err error
		if q.After, err = notify.ParseDeliveryID(in.Cursor); err != nil {
			return nil, fault("query.cursor", in.Cursor, "want the next_cursor of the previous page")
		}
	}
	records, err := a.deliveries.Deliveries(ctx, q)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := new(answer[api.Deliveries])
	out.Body.Deliveries, out.Body.NextCursor = onePage(records, in.Limit, showDelivery, func(r notify.Record) string { return r.ID.String() })
	return out, nil
}

// deliveryPath names a delivery in a URL.
type deliveryPath struct {
	ID string `path:"id" pattern:"^dlv_[0-9]{1,19}_[0-9]{1,19}$" patternDescription:"an id of a delivery, such as dlv_1_42" example:"dlv_1_42"`
}

func (a *deliveryAPI) get(ctx context.Context, in *deliveryPath) (*answer[api.DeliveryDetail], error) {
	id, err := notify.ParseDeliveryID(in.ID)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	record, attempts, err := a.deliveries.Delivery(ctx, id)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := &answer[api.DeliveryDetail]{api.DeliveryDetail{Delivery: showDelivery(record), Log: []api.Attempt{}}}
	for _, t := range attempts {
		out.Body.Log = append(out.Body.Log, api.Attempt{At: *timeOrNull(t.At), Status: t.Status, Error: t.Error, Counts: !t.Uncounted, DurationMS: t.Duration.Milliseconds()})
	}
	return out, nil
}

func (a *deliveryAPI) retry(ctx context.Context, in *deliveryPath) (*answer[api.ReplayResult], error) {
	var n int
	id, err := notify.ParseDeliveryID(in.ID)
	if err == nil {
		n, err = a.deliveries.Retry(ctx, id)
	}
	return &answer[api.ReplayResult]{api.ReplayResult{Replayed: n}}, a.failure(ctx, err)
}

func (a *deliveryAPI) retryAll(ctx context.Context, in *struct{ Body api.Replay }) (*answer[api.ReplayResult], error) {
	n, err := a.deliveries.RetryAll(ctx, in.Body.Notifier, in.Body.Since, in.Body.Until)
	return &answer[api.ReplayResult]{api.ReplayResult{Replayed: n}}, a.failure(ctx, err)
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
