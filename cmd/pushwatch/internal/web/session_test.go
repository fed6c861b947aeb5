package web

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestSessions(t *testing.T) {
	var s sessions
	now := time.Now()
	token := sha256.Sum256([]byte("token"))
	holds := func(id string, at time.Time) bool {
		got, ok := s.token(id, at)
		return ok && got == token
	}
	first := s.begin(token, now)
	if !holds(first, now) || holds(first+"x", now) || holds("", now) {
		t.Error("a session is not that of its id alone")
	}
	if !holds(first, now.Add(sessionLength-time.Second)) || holds(first, now.Add(sessionLength)) {
		t.Errorf("a session does not end after %s", sessionLength)
	}
	var last string
	for i := range maxSessions {
		last = s.begin(token, now.Add(time.Duration(i+1)*time.Second))
	}
	if len(s.all) != maxSessions || holds(first, now) || !holds(last, now) {
		t.Errorf("there are %d sessions, the oldest too: %v; want %d, the newest", len(s.all), holds(first, now), maxSessions)
	}
	s.end(last)
	if holds(last, now) {
		t.Error("a session goes on after its end")
	}
	later := s.begin(token, now.Add(2*sessionLength))
	if len(s.all) != 1 || !holds(later, now.Add(2*sessionLength)) {
		t.Errorf("%d sessions are kept that have ended", len(s.all)-1)
	}
}

// TestNeighbours has a browser sign in at two instances of one host, which tell its
// cookies apart by nothing but their names.
func TestNeighbours(t *testing.T) {
	token := NewToken("looker", "read-read-read-read", Read)
	instances := []*authenticator{newAuthenticator([]Token{token}, "room 1; east", zap.NewNop()), newAuthenticator([]Token{token}, "room 2; east", zap.NewNop())}
	jar := make(map[string]*http.Cookie) // as a browser keeps them, for all ports
	visit := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		for _, c := range jar {
			r.AddCookie(c)
		}
		return r
	}
	for _, d := range instances {
		answer := httptest.NewRecorder()
		if !d.SignIn(answer, visit(), "read-read-read-read") {
			t.Fatal("Enter() = false, want to come in")
		}
		for _, c := range answer.Result().Cookies() {
			jar[c.Name] = c
		}
	}
	for i, d := range instances {
		if _, ok := d.User(visit()); !ok {
			t.Errorf("instance %d does not know its user any more", i)
		}
	}
	answer := httptest.NewRecorder()
	instances[0].SignOut(answer, visit())
	if _, ok := instances[1].User(visit()); !ok {
		t.Error("leaving one instance ends the session of the other")
	}
	if _, ok := instances[0].User(visit()); ok {
		t.Error("a session goes on after leaving")
	}
}
