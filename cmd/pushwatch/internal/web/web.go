// Package web is what pushwatch shows over HTTP: the API that classroom backends
// register their pushes with, its OpenAPI description, health and metrics, and the
// page for people, which package page renders.
//
// Every error of the API, those of the router too, is application/problem+json (RFC 9457)
// and names the field at fault.
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
	"pushwatch/watcher"
)

// Tasks is what the API needs of the watching; [watcher.Watcher] has it.
type Tasks interface {
	// Register has pushes watched, all or none. Its error joins
	// [*watcher.FieldError] values where the request is at fault.
	Register(ctx context.Context, wanted []watcher.Registration, reopen bool) ([]watcher.TaskView, []bool, error)
	// Task and those below return [watcher.ErrNoTask] for an unknown task.
	Task(ctx context.Context, key watcher.Key) (watcher.TaskView, error)
	Remove(ctx context.Context, key watcher.Key) error
	// Amend's error joins [*watcher.FieldError] values too.
	Amend(ctx context.Context, key watcher.Key, change watcher.Amendment) (watcher.TaskView, error)
	// PollNow returns [watcher.ErrEnded] for a task at its end.
	PollNow(ctx context.Context, key watcher.Key) error
	// Tasks returns a page in the order of the tasks' keys.
	Tasks(ctx context.Context, query watcher.TaskQuery) ([]watcher.TaskView, error)
	// Status tells how the watching goes, for each account of this process.
	Status() []watcher.AccountStatus
}

// Config says what is served.
type Config struct {
	Tasks      Tasks
	Events     Events
	Deliveries Deliveries
	Notifiers  Notifiers
	Callbacks  Callbacks                   // nil: TIW's callbacks are not taken
	Tokens     []Token                     // none: anyone who reaches the address may do anything
	Hour       *page.Hour                  // the account's last hour, for the page; nil: only now is shown
	Alive      func() error                // an error: the process should be restarted
	Ready      func(context.Context) error // an error: it can't serve now
	Metrics    prometheus.Gatherer

	// Members reads who shares the accounts, and Member is who this process is among
	// them; nil: it has them for itself.
	Members func(context.Context) ([]watcher.Member, error)
	Member  string

	Instance string          // names this installation
	Version  string          // of the program
	Stopping <-chan struct{} // closed when the daemon stops, for streams to end; nil: never
	Log      *zap.Logger

	pace streamPace
}

// A Handler serves everything.
type Handler struct {
	http.Handler
	tokens *tokens
	roll   *roll
}

// Accounts tells how the watching of all accounts goes, whichever process does it, as
// far as the database says.
func (h *Handler) Accounts(ctx context.Context) []watcher.AccountStatus { return h.roll.accounts(ctx) }

// SetTokens puts other tokens in force. A stream that was opened with one that is
// not among them ends.
func (h *Handler) SetTokens(tokens []Token) { h.tokens.replace(tokens) }

// New returns a handler.
func New(cfg Config) *Handler {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	door := newDoor(cfg.Tokens, cfg.Instance)
	mux := http.NewServeMux()
	api := humago.New(mux, describe(cfg.Version))
	(&taskAPI{cfg.Tasks, cfg.Log}).register(api)
	(&eventAPI{events: cfg.Events, door: door, log: cfg.Log, done: cfg.Stopping, pace: cfg.pace.withDefaults()}).register(api)
	(&deliveryAPI{cfg.Deliveries, cfg.Log}).register(api)
	(&notifierAPI{cfg.Notifiers, cfg.Log}).register(api)
	roll := &roll{cfg.Tasks, cfg.Members, cfg.Member}
	(&statusAPI{roll, cfg.Notifiers, cfg.Instance, cfg.Version, cfg.Log}).register(api)

	if cfg.Callbacks != nil {
		mux.HandleFunc("POST "+callbackPath+"{sdk_app_id}", callback(cfg.Callbacks, cfg.Log))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, cfg.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { health(w, cfg.Ready(r.Context())) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // one that cannot be read must not hide the others
		ErrorLog:      gatherLog{cfg.Log},
	}))

	site := page.New(page.Config{
		Tasks: cfg.Tasks, Events: cfg.Events, Deliveries: cfg.Deliveries, Notifiers: cfg.Notifiers, Door: door,
		Accounts: roll.accounts, Hour: cmp.Or(cfg.Hour, page.NewHour()), Stream: streamPath, Instance: cfg.Instance, Version: cfg.Version, Log: cfg.Log,
	})
	everything := split(func(r *http.Request) bool { return forPeople(door, r) }, bodies(site), authorize(door, bodies(problems(mux))))
	return &Handler{guard(door.tokens, everything), door.tokens, roll}
}

// forPeople tells a request to the page from one to the API that has forgotten its /v1,
// to which a page would be no answer: one with a token, one that wants no HTML but has to
// sign in first, or one that changes something and is not sent by a form.
func forPeople(d *door, r *http.Request) bool {
	if !page.Owns(r.URL.Path) || r.Header.Get("Authorization") != "" {
		return false
	}
	shows := strings.Contains(r.Header.Get("Accept"), "text/html") || page.Public(r.URL.Path)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		return shows && kind == "application/x-www-form-urlencoded"
	}
	_, in := d.Visitor(r)
	return in || shows
}

// split sends some requests to one handler, and all others to another.
func split(some func(*http.Request) bool, those, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if some(r) {
			those.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// describe begins the OpenAPI description.
func describe(version string) huma.Config {
	about := huma.DefaultConfig("pushwatch", cmp.Or(version, "unknown"))
	about.Info.Description = "Watches Tencent Cloud TIW whiteboard pushes and tells when they stop or fail.\n\n" +
		"Errors are application/problem+json (RFC 9457) and name the field at fault. Every request may be repeated after a lost answer. " +
		"Times are RFC 3339 in UTC. Unknown fields and parameters are refused."
	about.Tags = []*huma.Tag{
		{Name: "tasks", Description: "Pushes that are registered here to be watched."},
		{Name: "events", Description: "What the watching found out, as it is told to the notifiers."},
		{Name: "deliveries", Description: "Events on their way to notifiers."},
		{Name: "notifiers", Description: "The configured receivers of events."},
		{Name: "status", Description: "How the watching and the telling go."},
	}
	about.DocsPath, about.SchemasPath, about.CreateHooks = "", "", nil
	about.RejectUnknownQueryParameters = true
	about.Transformers = []huma.Transformer{clarify}
	about.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	about.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "A secret of [[http.tokens]] in the settings; one with the role read may only GET. Without tokens in the settings none is needed.",
	}}
	about.Security = []map[string][]string{{"token": {}}}
	return about
}

// A gatherLog tells of metrics that cannot be read.
type gatherLog struct{ log *zap.Logger }

func (l gatherLog) Println(v ...any) {
	l.log.Error("metrics are missing from what is shown: this is a bug, worth a report", zap.String("error", fmt.Sprint(v...)))
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
