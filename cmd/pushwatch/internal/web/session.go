package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/web/page"
)

const (
	sessionLength = 12 * time.Hour
	// maxSessions is how many sessions exist at a time. One more ends the oldest.
	maxSessions = 1000
)

// sessions keeps the page's sessions in memory. A browser holds a random id instead of the
// token. The zero value is ready to use.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]session // by the hash of the id
}

// A session is a sign-in with a token.
type session struct {
	token [sha256.Size]byte // the hash of its secret
	ends  time.Time
}

// begin begins a session and returns its id.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) (id string) {
	id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[[sha256.Size]byte]session)
	}
	var oldest [sha256.Size]byte
	for key, one := range s.all {
		if !one.ends.After(now) {
			delete(s.all, key)
		} else if first, ok := s.all[oldest]; !ok || one.ends.Before(first.ends) {
			oldest = key
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
	s.all[sha256.Sum256([]byte(id))] = session{token, now.Add(sessionLength)}
	return id
}

// token returns the hash of a session's token.
func (s *sessions) token(id string, now time.Time) (hash [sha256.Size]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.all[sha256.Sum256([]byte(id))]
	return one.token, ok && one.ends.After(now)
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(id)))
}

// An authenticator identifies the sender of a request: the bearer of a token or, as a
// [page.Authenticator], a person who signed in with one. A session is valid as long as the
// settings contain its token, with the token's present role.
type authenticator struct {
	*tokens
	sessions *sessions
	attempts *attempts
	cookie   string // the name of the cookie with a session's id
}

// newAuthenticator returns the authenticator of an instance. The cookie's name contains a
// hash of the instance's name, because browsers send a cookie to all ports of a host, and
// because instance names may have characters that are not allowed in a cookie's name.
func newAuthenticator(list []Token, instance string, log *zap.Logger) *authenticator {
	sum := sha256.Sum256([]byte(instance))
	a := &authenticator{new(tokens), new(sessions), newAttempts(log), "pushwatch_session_" + hex.EncodeToString(sum[:4])}
	a.replace(list)
	return a
}

// mayRead reports whether a request may read events.
func (a *authenticator) mayRead(r *http.Request) bool {
	list, _ := a.now()
	_, bears := bearer(list, r)
	_, signedIn := a.User(r)
	return bears || signedIn
}

// User implements [page.Authenticator].
func (a *authenticator) User(r *http.Request) (page.User, bool) {
	list, _ := a.now()
	if len(list) == 0 {
		return page.User{MayAct: true}, true
	}
	cookie, err := r.Cookie(a.cookie)
	if err != nil {
		return page.User{}, false
	}
	hash, ok := a.sessions.token(cookie.Value, time.Now())
	token := find(list, hash)
	if !ok || token == nil {
		return page.User{}, false
	}
	return page.User{Name: token.Name, MayAct: token.Role == Write}, true
}

// SignIn implements [page.Authenticator].
func (a *authenticator) SignIn(w http.ResponseWriter, r *http.Request, secret string) bool {
	hash := sha256.Sum256([]byte(secret))
	list, _ := a.now()
	if find(list, hash) == nil {
		return false
	}
	a.SignOut(w, r)
	http.SetCookie(w, a.newCookie(r, a.sessions.begin(hash, time.Now()), int(sessionLength.Seconds())))
	return true
}

// slowSignIn slows down signing in with wrong tokens; see [attempts].
func (a *authenticator) slowSignIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/signin" {
			list, _ := a.now()
			wrong := len(list) > 0 && find(list, sha256.Sum256([]byte(r.PostFormValue("token")))) == nil
			if wrong && !a.attempts.failed(w, r) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// SignOut implements [page.Authenticator].
func (a *authenticator) SignOut(w http.ResponseWriter, r *http.Request) {
	if old, err := r.Cookie(a.cookie); err == nil {
		a.sessions.end(old.Value)
		http.SetCookie(w, a.newCookie(r, "", -1))
	}
}

// newCookie returns a cookie that scripts cannot read and other sites cannot have sent. It
// is for HTTPS only if the user came by HTTPS, directly or through a proxy.
func (a *authenticator) newCookie(r *http.Request, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: a.cookie, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// find returns the token whose secret has a hash; nil: there is none. It compares all
// tokens, in constant time.
func find(tokens []Token, hash [sha256.Size]byte) *Token {
	var found *Token
	for i := range tokens {
		if subtle.ConstantTimeCompare(hash[:], tokens[i].hash[:]) == 1 {
			found = &tokens[i]
		}
	}
	return found
}
