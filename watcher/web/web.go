// Package web is what pushwatch shows over HTTP: the API that classroom backends
// register their pushes with, its OpenAPI description, health and metrics.
//
// Every error, those of the router too, is application/problem+json (RFC 9457)
// and names the field at fault.
package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Tasks is what the API needs of the watching; [watcher.Watcher] has it.
type Tasks interface {
	// Register has pushes watched, all or none. Its error joins
	// [*watcher.FieldError] values where the request is at fault.
	Register(ctx context.Context, wanted []watcher.Registration, reopen bool) ([]watcher.TaskView, []bool, error)
	// Task and Remove return [watcher.ErrNoTask] for an unknown task.
	Task(ctx context.Context, key watcher.Key) (watcher.TaskView, error)
	Remove(ctx context.Context, key watcher.Key) error
	// Tasks returns a page in the order of the tasks' keys.
	Tasks(ctx context.Context, query watcher.TaskQuery) ([]watcher.TaskView, error)
}

// Config says what is served.
type Config struct {
	Tasks     Tasks
	Callbacks Callbacks                   // nil: TIW's callbacks are not taken
	Tokens    []Token                     // none: anyone who reaches the address may do anything
	Alive     func() error                // an error: the process should be restarted
	Ready     func(context.Context) error // an error: it can't serve now
	Metrics   prometheus.Gatherer
	Version   string
	Log       *zap.Logger
}

// Limits of a request's body, in bytes.
const (
	maxBody  = 1 << 20
	maxBatch = 16 << 20
)

// New returns the handler of everything.
func New(cfg Config) http.Handler {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	mux := http.NewServeMux()
	about := huma.DefaultConfig("pushwatch", cmp.Or(cfg.Version, "unknown"))
	about.Info.Description = "Watches Tencent Cloud TIW whiteboard pushes and tells when they stop or fail."
	about.DocsPath, about.SchemasPath, about.CreateHooks = "", "", nil
	about.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	about.Security = []map[string][]string{{"token": {}}}
	api := humago.New(mux, about)
	(&taskAPI{cfg.Tasks, cfg.Log}).register(api)

	if cfg.Callbacks != nil {
		mux.HandleFunc("POST "+callbackPath+"{sdk_app_id}", callback(cfg.Callbacks, cfg.Log))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, cfg.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { health(w, cfg.Ready(r.Context())) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))
	return authorize(cfg.Tokens, problems(mux))
}

// health answers what a probe asks.
func health(w http.ResponseWriter, err error) {
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// failure makes an error of the watching one of the API.
func (a *taskAPI) failure(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, watcher.ErrNoTask):
		return huma.Error404NotFound("no such task: register it first with POST /v1/tasks")
	}
	var details []error
	for _, e := range flatten(err) {
		if field, ok := errors.AsType[*watcher.FieldError](e); ok {
			details = append(details, &huma.ErrorDetail{Location: "body." + field.Field, Value: field.Value, Message: "want " + field.Want})
		}
	}
	if len(details) > 0 {
		return huma.Error422UnprocessableEntity("the registration is faulty: nothing was registered", details...)
	}
	if ctx.Err() != nil {
		return huma.Error503ServiceUnavailable("the request was given up")
	}
	a.log.Error("serve request", zap.Error(err))
	return huma.Error503ServiceUnavailable("the database does not answer as it should: try again; the request may have been carried out, and repeating it is harmless")
}

// flatten returns the errors that err joins, or err itself.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
