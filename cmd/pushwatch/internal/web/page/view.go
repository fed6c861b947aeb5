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
	Subject string // whose events are news of it; empty: all are
	Data    any
}

// A screen is what the layout shows.
type screen struct {
	view
	Instance, Version string
	Stream            string // address of the events that are news of the view
	Now               time.Time
	Visitor           Visitor
	SignedOut         bool // nobody is let in yet: there is nothing to see but the way in
	Seeing            seeing
	Done              string // what an action has done
}

// patience is how long a view waits for the database.
const patience = 10 * time.Second

// show makes a handler of what has something to show.
func (s *site) show(find func(*http.Request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		visitor, ok := s.Door.Visitor(r)
		if !ok {
			s.sendToDoor(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		v, err := find(r.WithContext(ctx))
		if err != nil {
			s.fail(w, r, visitor, err)
			return
		}
		s.render(ctx, w, http.StatusOK, screen{view: v, Visitor: visitor, Done: said(r)})
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
	s.render(r.Context(), w, f.Status, screen{view: view{Name: "fault", Title: f.Title, Data: f}, Visitor: visitor})
}

// render writes a view. It is rendered whole before the first byte is sent.
func (s *site) render(ctx context.Context, w http.ResponseWriter, status int, show screen) {
	show.Instance, show.Version = s.Instance, s.Version
	show.Stream = address(s.Stream, "after", "now", "subject", show.Subject)
	show.Now = time.Now().UTC()
	if !show.SignedOut {
		show.Seeing = look(s.accounts(ctx))
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
