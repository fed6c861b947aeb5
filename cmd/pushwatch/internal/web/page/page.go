// Package page is what people look at: whether pushwatch sees, what happened to a
// push, and whether the backend was told.
//
// Every view is whole as the server renders it: links filter and turn pages, forms
// act, and nothing needs a script. One script makes views live: it reads the stream
// of events, asks for the view again when there is news or some seconds have passed,
// and changes what differs. Scripts, styles and pictures come from the binary, and
// the Content-Security-Policy allows nothing else.
//
// What is shown was partly written by others: labels, ids, answers of TIW, errors of
// receivers. All of it stays text, isolated from the direction of what surrounds it,
// and characters that cannot be seen are shown as what they are: see [clean].
package page

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// Tasks is what the page shows and does of the watching; [watcher.Watcher] has it.
type Tasks interface {
	// Tasks returns a page of tasks.
	Tasks(ctx context.Context, query watcher.TaskQuery) ([]watcher.TaskView, error)
	// Task and those below return [watcher.ErrNoTask] for an unknown task.
	Task(ctx context.Context, key watcher.Key) (watcher.TaskView, error)
	Remove(ctx context.Context, key watcher.Key) error
	// PollNow returns [watcher.ErrEnded] for a task at its end.
	PollNow(ctx context.Context, key watcher.Key) error
	// Register has pushes watched, with reopen also those that have ended.
	Register(ctx context.Context, wanted []watcher.Registration, reopen bool) ([]watcher.TaskView, []bool, error)
}

// Events is what the page shows of the saved events.
type Events interface {
	// RecentEvents reads a page, the newest first.
	RecentEvents(ctx context.Context, query watcher.RecentQuery) ([]watcher.RecentEvent, error)
	// LastChanges reads the last event of each task, where there is one.
	LastChanges(ctx context.Context, tasks []watcher.Task) (map[watcher.Key]watcher.RecentEvent, error)
}

// Deliveries is what the page shows and does of the deliveries; [notify.Dispatcher]
// has it.
type Deliveries interface {
	Deliveries(ctx context.Context, query notify.Query) ([]notify.Record, error)
	// Delivery and Retry return [notify.ErrNoDelivery] for an unknown delivery.
	Delivery(ctx context.Context, id notify.DeliveryID) (notify.Record, []notify.Attempt, error)
	Retry(ctx context.Context, id notify.DeliveryID) error
	// Attempts has no entry for a delivery without any.
	Attempts(ctx context.Context, ids []notify.DeliveryID) (map[notify.DeliveryID][]notify.Attempt, error)
	// RetryAll replays the dead deliveries of a notifier that were made between two
	// times, zero for none, and returns how many.
	RetryAll(ctx context.Context, notifier string, since, until time.Time) (int, error)
}

// Notifiers is what the page shows and does of the notifiers; [notify.Dispatcher]
// has it. All but the first return [notify.ErrNoNotifier] for an unknown one.
type Notifiers interface {
	Notifiers(ctx context.Context) ([]notify.Status, error)
	// Test returns the id of the event that it sends; [notify.ErrNoAccount] where
	// another process has to be asked.
	Test(ctx context.Context, notifier string) (eventID string, err error)
	Pause(ctx context.Context, notifier string) error
	Resume(ctx context.Context, notifier string) error
}

// A Visitor is who looks at the page.
type Visitor struct {
	Name   string // of the token signed in with; empty: nobody has to sign in
	MayAct bool   // or only look
}

// A Door lets visitors in.
type Door interface {
	// Visitor tells who sends a request; false: nobody who is let in.
	Visitor(r *http.Request) (Visitor, bool)
	// Enter lets in whoever knows a secret, by what it adds to the answer, and
	// reports whether it did.
	Enter(w http.ResponseWriter, r *http.Request, secret string) bool
	// Leave undoes Enter.
	Leave(w http.ResponseWriter, r *http.Request)
}

// Config says what is shown, and to whom.
type Config struct {
	Tasks      Tasks
	Accounts   func(context.Context) []watcher.AccountStatus // how the watching goes, by name of the account
	Events     Events
	Deliveries Deliveries
	Notifiers  Notifiers
	Door       Door
	Hour       *Hour
	Stream     string // path of the stream of events, as server-sent events
	Instance   string // names this installation
	Version    string // of the program
	Log        *zap.Logger
}

// Owns reports whether a path is one of the page's. The page asks for itself who
// is let in, so nothing but its own paths may be sent to it.
func Owns(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "", "assets", "deliveries", "events", "notifiers", "signin", "signout", "tasks":
		return true
	}
	return false
}

// Public reports whether a path of the page is for everybody, and not only for who is
// let in: the way in, and the files that views refer to.
func Public(path string) bool { return path == "/signin" || strings.HasPrefix(path, "/assets/") }

// policy is all that a browser may do with the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// New returns the handler of the page, for the paths that [Owns] names.
func New(cfg Config) http.Handler {
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	s := &site{Config: cfg, assets: loadAssets()}
	s.views = s.parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /signin", s.askToken)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("POST /signout", s.signOut)

	mux.HandleFunc("GET /{$}", s.show(s.overview))
	mux.HandleFunc("GET /tasks", s.show(s.taskList))
	mux.HandleFunc("GET /tasks/{sdk_app_id}/{task_id}", s.show(s.task))
	mux.HandleFunc("GET /events", s.show(s.eventList))
	mux.HandleFunc("GET /deliveries", s.show(s.deliveryList))
	mux.HandleFunc("GET /deliveries/{id}", s.show(s.delivery))
	mux.HandleFunc("GET /notifiers", s.show(s.notifierList))

	mux.HandleFunc("POST /tasks/{sdk_app_id}/{task_id}/{action}", s.act(s.actOnTask))
	mux.HandleFunc("POST /deliveries/{id}/retry", s.act(s.retryDelivery))
	mux.HandleFunc("POST /notifiers/{notifier}/{action}", s.act(s.actOnNotifier))
	mux.HandleFunc("/", s.show(func(*http.Request) (view, error) { return view{}, errNoPage }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	})
}

// A site is the page with what it shows.
type site struct {
	Config
	assets assets
	views  views
}
