package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify"
)

// Notifiers reads and controls notifiers. [notify.Dispatcher] implements it. All methods
// but the first return [notify.ErrNoNotifier] for an unknown notifier.
type Notifiers interface {
	Notifiers(ctx context.Context) ([]notify.Status, error)
	// Test returns the id of the event that it sends; [notify.ErrNoAccount] if no process
	// owns an account, so that nothing can be sent.
	Test(ctx context.Context, notifier string) (eventID string, err error)
	Pause(ctx context.Context, notifier string) error
	Resume(ctx context.Context, notifier string) error
}

// notifierAPI serves /v1/notifiers.
type notifierAPI struct {
	notifiers Notifiers
	log       *zap.Logger
}

func showNotifiers(ctx context.Context, from Notifiers) ([]api.Notifier, error) {
	list, err := from.Notifiers(ctx)
	out := make([]api.Notifier, len(list))
	for i, s := range list {
		out[i] = api.Notifier{
			Name: s.Name, Type: s.Type, URL: s.URL, State: string(s.State), PausedUntil: timeOrNull(s.PausedUntil), NextProbeAt: timeOrNull(s.NextProbeAt),
			Pending: s.Pending, Dead: s.Dead, Waiting: s.Waiting.Seconds(), LastError: s.LastError,
		}
	}
	return out, err
}

func (a *notifierAPI) register(r huma.API) {
	handle(r, huma.Operation{
		OperationID: "list-notifiers", Method: http.MethodGet, Path: "/v1/notifiers", Tags: []string{"notifiers"},
		Summary: "List the configured notifiers, in the order of the settings",
	}, a.list)
	handle(r, huma.Operation{
		OperationID: "test-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/test", Tags: []string{"notifiers"},
		Summary: "Send a webhook.test event to a notifier", DefaultStatus: http.StatusAccepted,
		Description: "It is delivered like any other event. GET /v1/deliveries?event={event_id} shows the result.",
	}, a.test)
	handle(r, huma.Operation{
		OperationID: "pause-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/pause", Tags: []string{"notifiers"},
		Summary: "Hold back deliveries to a notifier until it is resumed", DefaultStatus: http.StatusNoContent,
	}, a.pause)
	handle(r, huma.Operation{
		OperationID: "resume-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/resume", Tags: []string{"notifiers"},
		Summary: "Deliver to a paused or gone notifier again", DefaultStatus: http.StatusNoContent,
	}, a.resume)
}

func (a *notifierAPI) list(ctx context.Context, _ *struct{}) (*answer[api.Notifiers], error) {
	list, err := showNotifiers(ctx, a.notifiers)
	return &answer[api.Notifiers]{api.Notifiers{Notifiers: list}}, a.failure(ctx, err)
}

// notifierPath names a notifier in a URL.
type notifierPath struct {
	Name string `path:"name" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
}

func (a *notifierAPI) test(ctx context.Context, in *notifierPath) (*answer[api.TestResult], error) {
	id, err := a.notifiers.Test(ctx, in.Name)
	return &answer[api.TestResult]{api.TestResult{EventID: id}}, a.failure(ctx, err)
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
		return huma.Error503ServiceUnavailable("no process owns an account at the moment: try again")
	}
	return failure(ctx, a.log, err)
}
