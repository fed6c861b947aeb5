package page

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
)

//go:embed templates
var templateFiles embed.FS

// views are the templates by name, each with the layout.
type views map[string]*template.Template

// viewNames are those of the templates.
var viewNames = []string{
	"overview", "account", "tasks", "task", "register", "events", "deliveries", "delivery", "notifiers", "signin", "fault",
}

// parse returns the views of a locale.
func (s *site) parse(l *locale) views {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"t": l.text, "say": say, "text": l.format, "plain": l.plain, "clean": clean,
		"clock": l.clock, "precise": l.precise, "ago": l.ago, "due": l.due, "span": l.span, "local": l.input,
		"typeName": l.typeName, "subjectLink": subjectLink, "subjectName": subjectName,
		"strong":  func(text template.HTML) template.HTML { return "<strong>" + text + "</strong>" },
		"foreign": func(s string) template.HTML { return l.format(foreign(s)) }, "sentences": l.sentences,
		"decimal": decimal, "count": count, "percent": percent, "some": some,
		"asset": func(name string) string { return s.assets.paths[name] },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	all := make(views)
	for _, name := range viewNames {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// maxLocales is how many locales have their views ready: one for each language, and one
// more for each zone that people use.
const maxLocales = 32

// locale returns the locale of a request, with its views.
func (s *site) locale(r *http.Request) *locale {
	key := s.texts.localeOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.locales[key]; ok {
		return l
	}
	if len(s.locales) >= maxLocales {
		clear(s.locales)
	}
	l := s.texts.locale(key)
	l.views = s.parse(l)
	s.locales[key] = l
	return l
}

// A request is what a handler answers.
type request struct {
	*http.Request
	Locale *locale
	User   User
}

// A view is what a handler shows.
type view struct {
	Name    string  // of its template
	Title   message // zero: there is none
	Section string  // the link of the navigation that leads to it
	Subject string  // whose events update the view; empty: all events do
	Data    any
	Status  *status // of all; nil: it is not read yet
}

// A screen is what the layout shows.
type screen struct {
	view
	Instance, Version string
	Stream            string // address of the stream of events that update the view
	Here              string // address of the view
	Now               time.Time
	User              User
	Locale            *locale
	Languages         []languageName
	SignedOut         bool    // nobody is signed in: nothing but the form is shown
	Notice            message // what an action has done
}

// viewTimeout is how long a view waits for the database.
const viewTimeout = 10 * time.Second

// show makes a handler of a function that finds what to show.
func (s *site) show(find func(*request) (view, error)) http.HandlerFunc {
	return s.signedIn(func(w http.ResponseWriter, r *request) {
		ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
		defer cancel()
		r.Request = r.WithContext(ctx)
		v, err := find(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.render(w, r, http.StatusOK, screen{view: v, Notice: notice(r.Request)})
	})
}

// act makes a handler of a function that changes something and returns the address to
// show next.
func (s *site) act(do func(*request) (location string, err error)) http.HandlerFunc {
	return s.signedIn(func(w http.ResponseWriter, r *request) {
		if !r.User.MayAct {
			s.fail(w, r, errReadOnly)
			return
		}
		location, err := do(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.Log.Info("action on the page", zap.String("path", r.URL.Path), zap.String("token", r.User.Name))
		http.Redirect(w, r.Request, location, http.StatusSeeOther)
	})
}

// signedIn makes a handler for those who are signed in. It leads others to the sign-in.
func (s *site) signedIn(serve func(http.ResponseWriter, *request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.Auth.User(r)
		if !ok {
			s.redirectToSignIn(w, r)
			return
		}
		serve(w, &request{r, s.locale(r), user})
	}
}

func (s *site) fail(w http.ResponseWriter, r *request, err error) {
	f := s.faultOf(r.Context(), err)
	v := f.View
	if v == nil {
		v = &view{Name: "fault", Title: f.Title, Data: f}
	}
	s.render(w, r, f.Status, screen{view: *v})
}

// render writes a view. It is complete before the first byte is sent.
func (s *site) render(w http.ResponseWriter, r *request, httpStatus int, show screen) {
	show.Instance, show.Version = s.Instance, s.Version
	show.Stream = address(s.Stream, "after", "now", "subject", show.Subject)
	show.User, show.Locale, show.Here, show.Now = r.User, r.Locale, here(r), time.Now()
	show.Languages = s.texts.languages
	if !show.SignedOut && show.Status == nil {
		show.Status = s.status(r.Context())
	}
	var b bytes.Buffer
	if err := r.Locale.views[show.Name].Execute(&b, show); err != nil {
		s.Log.Error("render page", zap.String("view", show.Name), zap.Error(err))
		http.Error(w, "The page cannot be shown: see the log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", r.Locale.Tag)
	w.WriteHeader(httpStatus)
	w.Write(b.Bytes())
}

// here is the address to come back to after a choice of language or zone.
func here(r *request) string {
	if r.Method != http.MethodGet {
		return "/"
	}
	q := r.URL.Query()
	q.Del("done")
	q.Del("n")
	return withQuery(r.URL.Path, q)
}

// notices are the texts of what actions have done, by the parameter "done" of the address
// that an action leads to.
var notices = map[string]string{
	"polled": "notice.polled", "removed": "notice.removed", "reopened": "notice.reopened", "registered": "notice.registered", "tested": "notice.tested",
	"paused": "notice.paused", "resumed": "notice.resumed", "replayed": "notice.replayed", "retried": "notice.retried",
}

// notice is what an action has done, to how many things.
func notice(r *http.Request) message {
	id, ok := notices[r.URL.Query().Get("done")]
	if !ok {
		return message{}
	}
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 0 {
		n = 1
	}
	return say(id, "N", n)
}
