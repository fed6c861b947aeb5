package web

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"sync/atomic"
)

// A Role says what a token's bearer may do.
type Role string

// The roles.
const (
	Read  Role = "read"  // read everything
	Write Role = "write" // also change it
)

// A Token gives its bearer access to the API. Only the hash of its secret is kept.
type Token struct {
	Name string
	Role Role
	hash [sha256.Size]byte
}

// NewToken returns a token.
func NewToken(name, secret string, role Role) Token {
	return Token{Name: name, Role: role, hash: sha256.Sum256([]byte(secret))}
}

// tokens are the valid tokens. They can be replaced while requests are served.
type tokens struct{ current atomic.Pointer[tokenList] }

// A tokenList is a list of tokens that is valid until another replaces it.
type tokenList struct {
	tokens   []Token
	replaced chan struct{} // closed then
}

func (t *tokens) replace(list []Token) {
	if before := t.current.Swap(&tokenList{list, make(chan struct{})}); before != nil {
		close(before.replaced)
	}
}

// now returns the tokens, and a channel that is closed when they are replaced.
func (t *tokens) now() ([]Token, <-chan struct{}) {
	list := t.current.Load()
	return list.tokens, list.replaced
}

// public reports whether a path needs no token: health probes and TIW's callbacks cannot
// send one.
func public(path string) bool {
	return path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, callbackPath)
}

// authorize passes on requests whose token has the role that they need. Without tokens in
// the settings every request is allowed. A person who signed in on the page may also read
// the stream of events, for which a script cannot send a header.
func authorize(auth *authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, _ := auth.now()
		if len(list) == 0 || public(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		role, ok := bearer(list, r)
		if !ok && r.URL.Path == streamPath {
			role, ok = Read, auth.mayRead(r)
		}
		switch {
		case !ok && r.Header.Get("Authorization") != "" && !auth.attempts.failed(w, r):
		case !ok:
			w.Header().Set("WWW-Authenticate", `Bearer realm="pushwatch"`)
			refuse(w, r, http.StatusUnauthorized, "want the header Authorization: Bearer with one of the tokens in [[http.tokens]]")
		case role != Write && r.Method != http.MethodGet && r.Method != http.MethodHead:
			refuse(w, r, http.StatusForbidden, "this token may only read: want one with role = \"write\"")
		default:
			phaseOf(r.Context()).enter(serving)
			next.ServeHTTP(w, r)
		}
	})
}

// bearer returns the role of the request's token.
func bearer(tokens []Token, r *http.Request) (role Role, ok bool) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token := find(tokens, sha256.Sum256([]byte(strings.TrimSpace(secret))))
	if token == nil {
		return "", false
	}
	return token.Role, true
}
