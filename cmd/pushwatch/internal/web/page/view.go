package page

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"sync"
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
		"typeName": l.typeName,
		"strong":   func(text template.HTML) template.HTML { return "<strong>" + text + "</strong>" },
		"foreign":  func(s string) template.HTML { return l.format(foreign(s)) }, "sentences": l.sentences,
		"decimal": decimal, "count": count, "percent": percent, "some": some,
		"asset": func(name string) string { return s.assets.paths[name] },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	all := make(views)
	for _, name := range viewNames {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// A localized is a locale with its views.
type localized struct {
	*locale
	views views
}

// maxLocales is how many locales have their views ready: one for each language, and one
// more for each zone that people use.
const maxLocales = 32

// locales are the locales that were wanted, by key.
type locales struct {
	mu  sync.Mutex
	all map[localeKey]*localized
}

// localized returns the locale of a request.
func (s *site) localized(r *http.Request) *localized {
	key := s.texts.localeOf(r)
	s.locales.mu.Lock()
	defer s.locales.mu.Unlock()
	l, ok := s.locales.all[key]
	if !ok {
		if s.locales.all == nil || len(s.locales.all) >= maxLocales {
			s.locales.all = make(map[localeKey]*localized)
		}
		l = &localized{locale: s.texts.locale(key)}
		l.views = s.parse(l.locale)
		s.locales.all[key] = l
	}
	return l
}

// A request is what a handler answers.
type request struct {
	*http.Request
	Locale *localized
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
	Locale            *localized
	Languages         []languageChoice
	SignedOut         bool    // nobody is signed in: nothing but the form is shown
	Notice            message // what an action has done
}

// A languageChoice is a language that the page can be shown in.
type languageChoice struct {
	Tag, Name string
	Current   bool
}

// languageChoices are the languages of the catalogue, each by its own name.
func (s *site) languageChoices(current string) (list []languageChoice) {
	for _, tag := range s.texts.tags {
		name := s.texts.locale(localeKey{language: tag.String()}).plain("language.name")
		list = append(list, languageChoice{tag.String(), name, tag.String() == current})
	}
	return list
}

// viewTimeout is how long a view waits for the database.
const viewTimeout = 10 * time.Second

// show makes a handler of a function that finds what to show.
func (s *site) show(find func(*request) (view, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.Auth.User(r)
		if !ok {
			s.redirectToSignIn(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
		defer cancel()
		in := &request{r.WithContext(ctx), s.localized(r), user}
		v, err := find(in)
		if err != nil {
			s.fail(w, in, err)
			return
		}
		s.render(w, in, http.StatusOK, screen{view: v, Notice: notice(r)})
	}
}

// act makes a handler of a function that changes something and returns the address to
// show next.
func (s *site) act(do func(*request) (location string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.Auth.User(r)
		if !ok {
			s.redirectToSignIn(w, r)
			return
		}
		in := &request{r, s.localized(r), user}
		if !user.MayAct {
			s.fail(w, in, errReadOnly)
			return
		}
		location, err := do(in)
		if err != nil {
			s.fail(w, in, err)
			return
		}
		s.Log.Info("action on the page", zap.String("path", r.URL.Path), zap.String("token", user.Name))
		http.Redirect(w, r, location, http.StatusSeeOther)
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
	show.Languages = s.languageChoices(r.Locale.Tag)
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
	if len(q) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + q.Encode()
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
