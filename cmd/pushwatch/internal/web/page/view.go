package page

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"go.uber.org/zap"
)

//go:embed templates
var templateFiles embed.FS

// views are the templates by name, each with the layout.
type views map[string]*template.Template

func (s *site) parse() views {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"clean": func(v any) string { return clean(fmt.Sprint(v)) }, "words": words, "percent": percent, "some": some,
		"span": span, "ago": ago, "clock": clock, "precise": precise, "iso": iso,
		"decimal": decimal, "count": count, "plural": plural,
		"asset": func(name string) string { return s.assets.paths[name] },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	all := make(views)
	for _, name := range []string{"overview", "tasks", "task", "events", "deliveries", "delivery", "notifiers", "signin", "fault"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// A view is what a handler shows.
type view struct {
	Name    string // of its template
	Title   string
	Section string // the link of the navigation that leads to it
	Subject string // whose events update the view; empty: all events do
	Data    any
}

// A screen is what the layout shows.
type screen struct {
	view
	Instance, Version string
	Stream            string // address of the stream of events that update the view
	Now               time.Time
	User              User
	SignedOut         bool // nobody is signed in: nothing but the form is shown
	Visibility        visibility
	Notice            string // what an action has done
}

// viewTimeout is how long a view waits for the database.
const viewTimeout = 10 * time.Second

// show makes a handler of a function that finds what to show.
func (s *site) show(find func(*http.Request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.Auth.User(r)
		if !ok {
			s.redirectToSignIn(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
		defer cancel()
		v, err := find(r.WithContext(ctx))
		if err != nil {
			s.fail(w, r, user, err)
			return
		}
		s.render(ctx, w, http.StatusOK, screen{view: v, User: user, Notice: notice(r)})
	}
}

// act makes a handler of a function that changes something and returns the address to
// show next.
func (s *site) act(do func(*http.Request) (location string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.Auth.User(r)
		switch {
		case !ok:
			s.redirectToSignIn(w, r)
			return
		case !user.MayAct:
			s.fail(w, r, user, errReadOnly)
			return
		}
		location, err := do(r)
		if err != nil {
			s.fail(w, r, user, err)
			return
		}
		s.Log.Info("action on the page", zap.String("path", r.URL.Path), zap.String("token", user.Name))
		http.Redirect(w, r, location, http.StatusSeeOther)
	}
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, user User, err error) {
	f := s.faultOf(r.Context(), err)
	s.render(r.Context(), w, f.Status, screen{view: view{Name: "fault", Title: f.Title, Data: f}, User: user})
}

// render writes a view. It is complete before the first byte is sent.
func (s *site) render(ctx context.Context, w http.ResponseWriter, status int, show screen) {
	show.Instance, show.Version = s.Instance, s.Version
	show.Stream = address(s.Stream, "after", "now", "subject", show.Subject)
	show.Now = time.Now().UTC()
	if !show.SignedOut {
		show.Visibility = visibilityOf(s.accounts(ctx))
	}
	var b bytes.Buffer
	if err := s.views[show.Name].Execute(&b, show); err != nil {
		s.Log.Error("render page", zap.String("view", show.Name), zap.Error(err))
		http.Error(w, "The page cannot be shown: see the log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// notices say what actions have done, by the parameter "done" of the address that an
// action leads to.
var notices = map[string]string{
	"polled":   "The push is polled as soon as the account's limit allows.",
	"removed":  "The push is no longer watched.",
	"reopened": "The push is watched again.",
	"tested":   "A webhook.test event was sent.",
	"paused":   "The notifier is paused. Its deliveries wait.",
	"resumed":  "The notifier is active again.",
	"replayed": "Failed deliveries are sent again.",
	"retried":  "The event is sent again.",
}

func notice(r *http.Request) string { return notices[r.URL.Query().Get("done")] }
