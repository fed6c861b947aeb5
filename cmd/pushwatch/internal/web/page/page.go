// Package page is the page for people: what pushwatch can observe, what happened to a
// push, and whether its events were delivered.
//
// The server renders complete views: links filter and turn pages, forms act, and nothing
// needs a script. One script updates views while they are open: it reads the stream of
// events, requests the view again after an event or after some seconds, and changes what
// differs. Scripts, styles and images come from the binary, and the
// Content-Security-Policy allows nothing else.
//
// Labels, ids, answers of TIW and errors of receivers come from others. They are shown as
// text only, with their own writing direction, and invisible characters are made visible:
// see [clean].
package page

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// Tasks reads and changes tasks. [engine.Watcher] implements it.
type Tasks interface {
	// Tasks returns a page of tasks.
	Tasks(ctx context.Context, query watcher.TaskQuery) ([]engine.TaskView, error)
	// Task and those below return [watcher.ErrNoTask] for an unknown task.
	Task(ctx context.Context, key watcher.Key) (engine.TaskView, error)
	Remove(ctx context.Context, key watcher.Key) error
	// PollNow returns [engine.ErrEnded] for a task at its end.
	PollNow(ctx context.Context, key watcher.Key) error
	// Register registers pushes, all or none, and with reopen watches ended ones again. Its
	// error joins [*watcher.FieldError] values if the request is wrong.
	Register(ctx context.Context, wanted []watcher.Registration, reopen bool) ([]engine.Registered, error)
}

// Events reads saved events.
type Events interface {
	// RecentEvents returns a page, the newest first.
	RecentEvents(ctx context.Context, query watcher.RecentQuery) ([]watcher.RecentEvent, error)
	// LastChanges returns the last event of each task that has one.
	LastChanges(ctx context.Context, tasks []watcher.Task) (map[watcher.Key]watcher.RecentEvent, error)
}

// A User is who uses the page.
type User struct {
	Name   string // of the token; empty: nobody has to sign in
	MayAct bool   // may make changes
}

// An Authenticator knows who is signed in.
type Authenticator interface {
	// User returns who sends a request; false: nobody who is signed in.
	User(r *http.Request) (User, bool)
	// SignIn begins a session where a token has the secret, and reports whether one has.
	SignIn(w http.ResponseWriter, r *http.Request, secret string) bool
	// SignOut ends the session.
	SignOut(w http.ResponseWriter, r *http.Request)
}

// Config says what is shown, and to whom. All fields but Log are needed.
type Config struct {
	Tasks      Tasks
	Accounts   func(context.Context) []watcher.AccountStatus // by name
	Events     Events
	Dispatcher *notify.Dispatcher
	Auth       Authenticator
	History    *History
	Stream     string // path of the stream of server-sent events
	Instance   string // names this installation
	Version    string // of the program
	Log        *zap.Logger
}

// Owns reports whether a path is one of the page's. The page authenticates by itself, so
// only its own paths may be sent to it.
func Owns(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "", "accounts", "assets", "deliveries", "events", "notifiers", "preferences", "signin", "signout", "tasks":
		return true
	}
	return false
}

// Public reports whether a path of the page needs no sign-in: the sign-in form, the choice
// of language and time zone, and the files that views refer to.
func Public(path string) bool {
	return path == "/signin" || path == "/preferences" || strings.HasPrefix(path, "/assets/")
}

// policy is the Content-Security-Policy.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// New returns the handler of the page, for the paths that [Owns] names.
func New(cfg Config) http.Handler {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	s := &site{Config: cfg, assets: loadAssets(), texts: loadCatalogue(), locales: make(map[localeKey]*locale)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /signin", s.showSignIn)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("POST /signout", s.signOut)
	mux.HandleFunc("POST /preferences", s.setPreferences)

	mux.HandleFunc("GET /{$}", s.show(s.overview))
	mux.HandleFunc("GET /accounts/{account}", s.show(s.account))
	mux.HandleFunc("GET /tasks", s.show(s.taskList))
	mux.HandleFunc("GET /tasks/new", s.show(s.registerForm))
	mux.HandleFunc("GET /tasks/{sdk_app_id}/{task_id}", s.show(s.task))
	mux.HandleFunc("GET /events", s.show(s.eventList))
	mux.HandleFunc("GET /deliveries", s.show(s.deliveryList))
	mux.HandleFunc("GET /deliveries/{id}", s.show(s.delivery))
	mux.HandleFunc("GET /notifiers", s.show(s.notifierList))

	mux.HandleFunc("POST /tasks", s.act(s.register))
	mux.HandleFunc("POST /tasks/selected", s.act(s.actOnTasks))
	mux.HandleFunc("POST /tasks/{sdk_app_id}/{task_id}/{action}", s.act(s.actOnTask))
	mux.HandleFunc("POST /deliveries/selected", s.act(s.retryDeliveries))
	mux.HandleFunc("POST /deliveries/{id}/retry", s.act(s.retryDelivery))
	mux.HandleFunc("POST /notifiers/{notifier}/{action}", s.act(s.actOnNotifier))
	mux.HandleFunc("/", s.show(func(*request) (view, error) { return view{}, errNoPage }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	})
}

// A site is the page.
type site struct {
	Config
	assets assets
	texts  *catalogue

	mu      sync.Mutex
	locales map[localeKey]*locale // those that were wanted
}
