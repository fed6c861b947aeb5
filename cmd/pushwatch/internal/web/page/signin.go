package page

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// redirectToSignIn leads to the sign-in form, which leads back.
func (s *site) redirectToSignIn(w http.ResponseWriter, r *http.Request) {
	location := "/signin"
	if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
		location += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// localPath returns next where it is an address of the page, else "/".
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || path.Clean(u.Path) != u.Path || !Owns(u.Path) {
		return "/"
	}
	return next
}

// showSignIn shows the sign-in form.
func (s *site) showSignIn(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if _, ok := s.Auth.User(r); ok {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	s.renderSignIn(w, r, http.StatusOK, signInForm{Next: next})
}

// A signInForm asks for the secret of a token.
type signInForm struct {
	Next  string // address to show after signing in
	Wrong bool   // no token has the secret
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	form := signInForm{Next: localPath(r.PostFormValue("next"))}
	if s.Auth.SignIn(w, r, r.PostFormValue("token")) {
		http.Redirect(w, r, form.Next, http.StatusSeeOther)
		return
	}
	form.Wrong = true
	s.renderSignIn(w, r, http.StatusUnauthorized, form)
}

func (s *site) renderSignIn(w http.ResponseWriter, r *http.Request, status int, form signInForm) {
	in := &request{Request: r, Locale: s.locale(r)}
	s.render(w, in, status, screen{SignedOut: true, view: view{Name: "signin", Title: say("signin.title"), Data: form}})
}

func (s *site) signOut(w http.ResponseWriter, r *http.Request) {
	s.Auth.SignOut(w, r)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}
