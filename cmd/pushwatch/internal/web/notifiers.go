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

// Notifiers is what the API needs of the notifiers; [notify.Dispatcher] has it.
// All but the first return [notify.ErrNoNotifier] for an unknown one.
type Notifiers interface {
	Notifiers(ctx context.Context) ([]notify.Status, error)
	// Test returns the id of the event that it sends; [notify.ErrNoAccount] where
	// another process has to be asked.
	Test(ctx context.Context, notifier string) (eventID string, err error)
	Pause(ctx context.Context, notifier string) error
	Resume(ctx context.Context, notifier string) error
}

// notifierAPI serves /v1/notifiers.
type notifierAPI struct {
	notifiers Notifiers
	log       *zap.Logger
}

// notifier is a configured receiver of events.
type notifier struct {
	Name        string     `json:"name" example:"classroom"`
	Type        string     `json:"type" enum:"webhook,log,chat"`
	URL         string     `json:"url" doc:"Where it is, without secrets; empty: nowhere." example:"https://classroom.example"`
	State       string     `json:"state" enum:"active,paused,gone" doc:"paused: its deliveries wait. gone: it has answered 410, and its deliveries go to dead letter until it is resumed."`
	PausedUntil *time.Time `json:"paused_until" doc:"Until when it has asked for silence (Retry-After); null: it has not."`
	Pending     int        `json:"pending" minimum:"0" doc:"Deliveries that wait. May be some seconds old." example:"0"`
	Waiting     float64    `json:"oldest_pending_seconds" minimum:"0" doc:"For how long the oldest of them has waited; 0: none does." example:"0"`
	Dead        int        `json:"dead" minimum:"0" doc:"Deliveries that were given up. May be some seconds old." example:"0"`
	LastError   string     `json:"last_error" doc:"What its last attempt met, or why it is gone; empty: nothing."`
}

func showNotifiers(ctx context.Context, from Notifiers) ([]notifier, error) {
	list, err := from.Notifiers(ctx)
	out := make([]notifier, len(list))
	for i, s := range list {
		out[i] = notifier{
			Name: s.Name, Type: s.Type, URL: s.URL, State: string(s.State), PausedUntil: moment(s.PausedUntil),
			Pending: s.Pending, Dead: s.Dead, Waiting: s.Waiting.Seconds(), LastError: s.LastError,
		}
	}
	return out, err
}

func (a *notifierAPI) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-notifiers", Method: http.MethodGet, Path: "/v1/notifiers", Tags: []string{"notifiers"},
		Summary: "The notifiers of the settings, in their order",
	}, a.list)
	huma.Register(api, huma.Operation{
		OperationID: "test-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/test", Tags: []string{"notifiers"},
		Summary: "Send a webhook.test event to a notifier", DefaultStatus: http.StatusAccepted,
		Description: "It waits for its turn like any other event. What became of it tells GET /v1/deliveries?event={event_id}.",
	}, a.test)
	huma.Register(api, huma.Operation{
		OperationID: "pause-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/pause", Tags: []string{"notifiers"},
		Summary: "Have a notifier's deliveries wait until it is resumed", DefaultStatus: http.StatusNoContent,
	}, a.pause)
	huma.Register(api, huma.Operation{
		OperationID: "resume-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/resume", Tags: []string{"notifiers"},
		Summary: "Tell a notifier again that is paused or gone", DefaultStatus: http.StatusNoContent,
	}, a.resume)
}

type notifiersAnswer struct {
	Body struct {
		Notifiers []notifier `json:"notifiers"`
	}
}

func (a *notifierAPI) list(ctx context.Context, _ *struct{}) (*notifiersAnswer, error) {
	list, err := showNotifiers(ctx, a.notifiers)
	out := &notifiersAnswer{}
	out.Body.Notifiers = list
	return out, a.failure(ctx, err)
}

// notifierPath names a notifier in a URL.
type notifierPath struct {
	Name string `path:"name" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
}

type testAnswer struct {
	Body struct {
		EventID string `json:"event_id" doc:"The event's id, and the webhook-id of its webhook." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	}
}

func (a *notifierAPI) test(ctx context.Context, in *notifierPath) (*testAnswer, error) {
	id, err := a.notifiers.Test(ctx, in.Name)
	out := &testAnswer{}
	out.Body.EventID = id
	return out, a.failure(ctx, err)
}

func (a *notifierAPI) pause(ctx context.Context, in *notifierPath) (*struct{}, error) {
	return nil, a.failure(ctx, a.notifiers.Pause(ctx, in.Name))
}

func (a *notifierAPI) resume(ctx context.Context, in *notifierPath) (*struct{}, error) {
	return nil, a.failure(ctx, a.notifiers.Resume(ctx, in.Name))
}

func (a *notifierAPI) failure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, notify.ErrNoNotifier):
		return huma.Error404NotFound("no such notifier: GET /v1/notifiers lists them")
	case errors.Is(err, notify.ErrNoAccount):
		return huma.Error503ServiceUnavailable("this process watches no account at the moment: ask another one of the installation, or try again")
	}
	return failure(ctx, a.log, err)
}
