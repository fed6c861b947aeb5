// Package web is pushwatch's HTTP server: the API with which classroom backends register
// pushes, its OpenAPI description, health and metrics, and the page for people, which
// package page renders.
//
// Every error of the API, including those of the router, is application/problem+json (RFC
// 9457) and names the wrong field.
package web

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// Tasks registers, reads and changes tasks. [engine.Watcher] implements it.
type Tasks interface {
	page.Tasks
	// Amend returns [watcher.ErrNoTask] for an unknown task, and joins
	// [*watcher.FieldError] values if the request is wrong.
	Amend(ctx context.Context, key watcher.Key, change engine.Amendment) (engine.TaskView, error)
	// Status returns the status of each account of this process.
	Status() []watcher.AccountStatus
}

// Config describes a [Handler].
type Config struct {
	Tasks      Tasks
	Events     Events
	Dispatcher *notify.Dispatcher
	Callbacks  Callbacks                   // nil: TIW's callbacks are not accepted
	Tokens     []Token                     // empty: every client may do anything
	History    *page.History               // the last hour of the accounts, for the page; nil: only the present is shown
	Alive      func() error                // an error: the process should be restarted
	Ready      func(context.Context) error // an error: it cannot serve requests now
	Metrics    prometheus.Gatherer

	// Members reads the processes that share the accounts; nil: there are no others.
	// Member is this process's name among them.
	Members func(context.Context) ([]watcher.Member, error)
	Member  string

	Instance string          // the installation's name
	Version  string          // of the program
	Stopping <-chan struct{} // closed when the daemon stops, so that streams end; nil: never
	Log      *zap.Logger

	pace streamPace
}

// A Handler serves the API, the page, health and metrics.
type Handler struct {
	http.Handler
	tokens *tokens

	// Accounts returns the status of all accounts, including those of other processes as far
	// as it can be read.
	Accounts func(context.Context) []watcher.AccountStatus
}

// SetTokens replaces the tokens. Streams that were opened with a removed token end.
func (h *Handler) SetTokens(tokens []Token) { h.tokens.replace(tokens) }

// New returns a handler.
func New(cfg Config) *Handler {
	cfg.Log, cfg.pace = cmp.Or(cfg.Log, zap.NewNop()), cfg.pace.withDefaults()
	auth := newAuthenticator(cfg.Tokens, cfg.Instance, cfg.Log)
	mux := newMux(cfg, auth)
	site := page.New(page.Config{
		Tasks: cfg.Tasks, Events: cfg.Events, Dispatcher: cfg.Dispatcher, Auth: auth,
		Accounts: cfg.accounts, History: cmp.Or(cfg.History, page.NewHistory()), Stream: streamPath, Instance: cfg.Instance, Version: cfg.Version, Log: cfg.Log,
	})
	bodies := newBodies()
	people, programs := bodies.readForms(auth, auth.slowSignIn(site)), authorize(auth, bodies.read(problems(mux)))
	everything := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forPeople(auth, r) {
			people.ServeHTTP(w, r)
		} else {
			programs.ServeHTTP(w, r)
		}
	})
	return &Handler{guard(auth.tokens, everything), auth.tokens, cfg.accounts}
}

// newMux returns all routes except those of the page.
func newMux(cfg Config, auth *authenticator) *http.ServeMux {
	mux := http.NewServeMux()
	routes := humago.New(mux, describe(cfg.Version))
	routes.UseMiddleware(refuseRepeated(routes))
	a := &apiServer{Config: cfg, auth: auth, routes: routes}
	a.taskRoutes()
	a.eventRoutes()
	a.deliveryRoutes()
	a.notifierRoutes()
	handleJSON(a, huma.Operation{
		OperationID: "get-status", Method: http.MethodGet, Path: "/v1/status", Summary: "Get the state of polling and delivery",
	}, a.getStatus)

	if cfg.Callbacks != nil {
		describeCallback(routes.OpenAPI())
		mux.HandleFunc("POST "+callbackPath+"{sdk_app_id}", callback(cfg.Callbacks, cfg.Log))
	}
	describeOperation(routes.OpenAPI())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, cfg.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { health(w, cfg.Ready(r.Context())) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{
		ErrorHandling:      promhttp.ContinueOnError, // a metric that fails must not hide the others
		ErrorLog:           gatherLog{cfg.Log},
		DisableCompression: true, // it would take half as long again, and a megabyte of memory
	}))
	return mux
}

// forPeople reports whether a request is for the page, and not a mistaken API request
// without /v1. A request is not for the page if it has a token, if it does not accept HTML
// and would be sent to the sign-in, or if it changes something and is not sent by a form.
func forPeople(auth *authenticator, r *http.Request) bool {
	if !page.Owns(r.URL.Path) || r.Header.Get("Authorization") != "" {
		return false
	}
	shows := strings.Contains(r.Header.Get("Accept"), "text/html") || page.Public(r.URL.Path)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		return shows && kind == "application/x-www-form-urlencoded"
	}
	_, signedIn := auth.User(r)
	return signedIn || shows
}

// A gatherLog logs metrics that cannot be read.
type gatherLog struct{ log *zap.Logger }

func (l gatherLog) Println(v ...any) {
	l.log.Error("gathering metrics failed", zap.String("error", fmt.Sprint(v...)), zap.String("hint", "report this bug: some metrics are missing"))
}

// health answers a health probe.
func health(w http.ResponseWriter, err error) {
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}
