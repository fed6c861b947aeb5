package web

import (
	"crypto/sha256"
	"testing"
	"time"
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
