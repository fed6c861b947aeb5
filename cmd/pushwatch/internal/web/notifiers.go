package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify"
)

func showNotifiers(ctx context.Context, from *notify.Dispatcher) ([]api.Notifier, error) {
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

func (a *apiServer) notifierRoutes() {
	handleJSON(a, huma.Operation{
		OperationID: "list-notifiers", Method: http.MethodGet, Path: "/v1/notifiers",
		Summary: "List the configured notifiers, in the order of the settings",
	}, a.listNotifiers)
	handleJSON(a, huma.Operation{
		OperationID: "test-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/test", DefaultStatus: http.StatusAccepted,
		Summary:     "Send a webhook.test event to a notifier",
		Description: "It is delivered like any other event. GET /v1/deliveries?event={event_id} shows the result.",
	}, a.testNotifier)
	handleEmpty(a, huma.Operation{
		OperationID: "pause-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/pause", DefaultStatus: http.StatusNoContent,
		Summary: "Hold back deliveries to a notifier until it is resumed",
	}, a.pauseNotifier)
	handleEmpty(a, huma.Operation{
		OperationID: "resume-notifier", Method: http.MethodPost, Path: "/v1/notifiers/{name}/resume", DefaultStatus: http.StatusNoContent,
		Summary: "Deliver to a paused or gone notifier again",
	}, a.resumeNotifier)
}

func (a *apiServer) listNotifiers(ctx context.Context, _ *struct{}) (api.Notifiers, error) {
	list, err := showNotifiers(ctx, a.Dispatcher)
	return api.Notifiers{Notifiers: list}, err
}

// notifierPath names a notifier in a URL.
type notifierPath struct {
	Name string `path:"name" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
}

func (a *apiServer) testNotifier(ctx context.Context, in *notifierPath) (api.TestResult, error) {
	id, err := a.Dispatcher.Test(ctx, in.Name)
	return api.TestResult{EventID: id}, err
}

func (a *apiServer) pauseNotifier(ctx context.Context, in *notifierPath) error {
	return a.Dispatcher.Pause(ctx, in.Name)
}

func (a *apiServer) resumeNotifier(ctx context.Context, in *notifierPath) error {
	return a.Dispatcher.Resume(ctx, in.Name)
}
