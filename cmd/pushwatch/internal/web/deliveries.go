package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify"
)

func showDelivery(r notify.Record) api.Delivery {
	return api.Delivery{
		ID: r.ID.String(), EventID: r.EventID, Type: string(r.Type), Subject: r.Subject, Notifier: r.Notifier,
		State: string(r.State), Attempts: r.Attempts, NextAttemptAt: timeOrNull(r.NextAttemptAt), LastError: r.LastError,
		WaitsFor: r.WaitsFor.String(), CreatedAt: utc(r.CreatedAt), SettledAt: timeOrNull(r.SettledAt),
	}
}

func (a *apiServer) deliveryRoutes() {
	handleJSON(a, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/v1/deliveries", Summary: "List deliveries, newest first within an account",
	}, a.listDeliveries)
	handleJSON(a, huma.Operation{
		OperationID: "get-delivery", Method: http.MethodGet, Path: "/v1/deliveries/{id}", Summary: "Get a delivery with its attempts",
	}, a.getDelivery)
	handleJSON(a, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/retry", DefaultStatus: http.StatusAccepted,
		Summary:     "Send a delivered or dead delivery again",
		Description: "The receiver gets the same event, byte for byte, with the same id. A pending delivery is left unchanged and not counted.",
	}, a.retryDelivery)
	handleJSON(a, huma.Operation{
		OperationID: "retry-deliveries", Method: http.MethodPost, Path: "/v1/deliveries/retry", Summary: "Send the dead deliveries of a notifier again",
	}, a.retryDeliveries)
}

func (a *apiServer) listDeliveries(ctx context.Context, in *struct {
	State    string `query:"state" enum:"pending,delivered,dead"`
	Notifier string `query:"notifier" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
	Event    string `query:"event" maxLength:"100" doc:"An event's id." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many deliveries."`
	Cursor   string `query:"cursor" maxLength:"100" doc:"next_cursor of the previous page."`
}) (out api.Deliveries, err error) {
	q := notify.Query{State: notify.State(in.State), Notifier: in.Notifier, EventID: in.Event, Limit: in.Limit + 1}
	if in.Cursor != "" {
		if q.After, err = notify.ParseDeliveryID(in.Cursor); err != nil {
			return out, fault("query.cursor", in.Cursor, "want the next_cursor of the previous page")
		}
	}
	records, err := a.Dispatcher.Deliveries(ctx, q)
	out.Deliveries, out.NextCursor = onePage(records, in.Limit, showDelivery, func(r notify.Record) string { return r.ID.String() })
	return out, err
}

// deliveryPath names a delivery in a URL.
type deliveryPath struct {
	ID string `path:"id" pattern:"^dlv_[0-9]{1,19}_[0-9]{1,19}$" patternDescription:"an id of a delivery, such as dlv_1_42" example:"dlv_1_42"`
}

func (a *apiServer) getDelivery(ctx context.Context, in *deliveryPath) (out api.DeliveryDetail, err error) {
	id, err := notify.ParseDeliveryID(in.ID)
	if err != nil {
		return out, err
	}
	record, attempts, err := a.Dispatcher.Delivery(ctx, id)
	out.Delivery, out.Log = showDelivery(record), make([]api.Attempt, len(attempts))
	for i, t := range attempts {
		out.Log[i] = api.Attempt{At: utc(t.At), Status: t.Status, Error: t.Error, Counts: !t.Uncounted, DurationMS: t.Duration.Milliseconds()}
	}
	return out, err
}

func (a *apiServer) retryDelivery(ctx context.Context, in *deliveryPath) (out api.ReplayResult, err error) {
	id, err := notify.ParseDeliveryID(in.ID)
	if err == nil {
		out.Replayed, err = a.Dispatcher.Retry(ctx, id)
	}
	return out, err
}

func (a *apiServer) retryDeliveries(ctx context.Context, in *struct{ Body api.Replay }) (out api.ReplayResult, err error) {
	out.Replayed, err = a.Dispatcher.RetryAll(ctx, in.Body.Notifier, in.Body.Since, in.Body.Until)
	if errors.Is(err, notify.ErrNoNotifier) {
		err = fault("body.notifier", nil, "want the name of a notifier in the settings: GET /v1/notifiers lists them")
	}
	return out, err
}
