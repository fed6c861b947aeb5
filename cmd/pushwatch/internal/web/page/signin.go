package page

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

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
	s.render(r.Context(), w, http.StatusOK, screen{SignedOut: true, view: view{Name: "signin", Title: "Sign in", Data: signInForm{Next: next}}})
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
	s.render(r.Context(), w, http.StatusUnauthorized, screen{SignedOut: true, view: view{Name: "signin", Title: "Sign in", Data: form}})
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.Door.Leave(w, r)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}
