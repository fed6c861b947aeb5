package page

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
)

//go:embed templates
var templateFiles embed.FS

// views are the templates by name, each with the layout around it.
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

// A view is what a handler has to show.
type view struct {
	Name    string // of its template
	Title   string
	Section string // the link of the navigation that leads to it
	Data    any
}

// A screen is what the layout shows.
type screen struct {
	view
	Instance, Version, Stream string
	Now                       time.Time
	Visitor                   Visitor
	SignedOut                 bool // nobody is let in yet: there is nothing to see but the way in
	Seeing                    seeing
	Done                      string // what an action has done
}

// A fault is an answer that is not what was asked for.
type fault struct {
	Status      int
	Title, Text string
}

func (f *fault) Error() string { return f.Title + ": " + f.Text }

var (
	errNoPage = &fault{http.StatusNotFound, "No such page", "There is nothing at this address."}
	errReader = &fault{http.StatusForbidden, "Only looking is allowed", `This token may only read. Sign in with one that has role = "write" to act.`}
)

// faultOf is what people are told of an error.
func (s *site) faultOf(ctx context.Context, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, watcher.ErrNoTask):
		return &fault{http.StatusNotFound, "No such task", "It was never registered, its watching was stopped, or it is past its retention."}
	case errors.Is(err, watcher.ErrEnded):
		return &fault{http.StatusConflict, "The task has ended", "It is not polled any more. Reopen it to watch it anew."}
	case errors.Is(err, notify.ErrNoDelivery):
		return &fault{http.StatusNotFound, "No such delivery", "There never was one, or it is past its retention."}
	case errors.Is(err, notify.ErrNoNotifier):
		return &fault{http.StatusNotFound, "No such notifier", "The settings do not name it any more."}
	case errors.Is(err, notify.ErrNoAccount):
		return &fault{http.StatusServiceUnavailable, "Nothing can be sent from here", "This process watches no account at the moment. Try again, or ask another one of the installation."}
	}
	if field, ok := errors.AsType[*watcher.FieldError](err); ok {
		return &fault{http.StatusUnprocessableEntity, "That cannot be done", field.Error()}
	}
	if ctx.Err() == nil {
		s.Log.Error("serve page", zap.Error(err))
	}
	return &fault{http.StatusServiceUnavailable, "The database does not answer as it should", "Try again. What was asked for may have been done, and asking again is harmless."}
}

// show makes a handler of what has something to show.
func (s *site) show(look func(*http.Request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		visitor, ok := s.Door.Visitor(r)
		if !ok {
			s.sendToDoor(w, r)
			return
		}
		v, err := look(r)
		if err != nil {
			s.fail(w, r, visitor, err)
			return
		}
		s.render(w, http.StatusOK, screen{view: v, Visitor: visitor, Done: said(r)})
	}
}

// act makes a handler of what changes something and says where to look then.
func (s *site) act(do func(*http.Request) (location string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		visitor, ok := s.Door.Visitor(r)
		switch {
		case !ok:
			s.sendToDoor(w, r)
			return
		case !visitor.MayAct:
			s.fail(w, r, visitor, errReader)
			return
		}
		location, err := do(r)
		if err != nil {
			s.fail(w, r, visitor, err)
			return
		}
		s.Log.Info("asked for on the page", zap.String("path", r.URL.Path), zap.String("token", visitor.Name))
		http.Redirect(w, r, location, http.StatusSeeOther)
	}
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, visitor Visitor, err error) {
	f := s.faultOf(r.Context(), err)
	s.render(w, f.Status, screen{view: view{Name: "fault", Title: f.Title, Data: f}, Visitor: visitor})
}

// render writes a view. It is rendered whole before the first byte is sent.
func (s *site) render(w http.ResponseWriter, status int, show screen) {
	show.Instance, show.Version, show.Stream = s.Instance, s.Version, s.Stream
	show.Now = time.Now().UTC()
	if !show.SignedOut {
		show.Seeing = look(s.Tasks.Status(), show.Now)
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

// done are the texts of what actions have done, by the word that stands for each
// in the address that the action leads to.
var done = map[string]string{
	"polled":   "The push is polled as soon as the account's limit allows.",
	"removed":  "The push is not watched any more.",
	"reopened": "The push is watched anew.",
	"tested":   "A webhook.test event is on its way.",
	"paused":   "The notifier is paused: what comes for it waits.",
	"resumed":  "The notifier is told again.",
	"replayed": "What was given up is delivered again.",
	"retried":  "The event is delivered again.",
}

func said(r *http.Request) string { return done[r.URL.Query().Get("done")] }

// sendToDoor has somebody who is not let in sign in, and come back.
func (s *site) sendToDoor(w http.ResponseWriter, r *http.Request) {
	location := "/signin"
	if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
		location += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// within is an address on this page that somebody was on the way to, or "/" where
// it is none.
func within(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || path.Clean(u.Path) != u.Path || !Owns(u.Path) {
		return "/"
	}
	return next
}

// askToken shows the way in.
func (s *site) askToken(w http.ResponseWriter, r *http.Request) {
	next := within(r.URL.Query().Get("next"))
	if _, ok := s.Door.Visitor(r); ok {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	s.render(w, http.StatusOK, screen{SignedOut: true, view: view{Name: "signin", Title: "Sign in", Data: signInForm{Next: next}}})
}

// A signInForm asks for a token.
type signInForm struct {
	Next  string // where to go then
	Wrong bool   // the token was not known
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	form := signInForm{Next: within(r.PostFormValue("next"))}
	if s.Door.Enter(w, r, r.PostFormValue("token")) {
		http.Redirect(w, r, form.Next, http.StatusSeeOther)
		return
	}
	form.Wrong = true
	s.render(w, http.StatusUnauthorized, screen{SignedOut: true, view: view{Name: "signin", Title: "Sign in", Data: form}})
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.Door.Leave(w, r)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}
