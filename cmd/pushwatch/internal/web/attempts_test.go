package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestWrongTokens sends many wrong tokens, as bearer and to the sign-in: they are slowed
// down and logged once a minute. The right one is not, from the same address either.
func TestWrongTokens(t *testing.T) {
	const right = "write-write-write"
	bearer := func(secret string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/v1/nothing", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		return r
	}
	signIn := func(secret string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/signin", strings.NewReader("token="+secret))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		return r
	}
	for name, c := range map[string]struct {
		request    func(string) *http.Request
		wrong, let int
	}{
		"bearer":  {bearer, http.StatusUnauthorized, http.StatusNotFound},
		"sign-in": {signIn, http.StatusUnauthorized, http.StatusSeeOther},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zap.WarnLevel)
				h := New(Config{Tokens: []Token{NewToken("backend", right, Write)}, Metrics: prometheus.NewRegistry(), Log: zap.New(core)})
				send := func(from, secret string) (status int, took time.Duration) {
					r := c.request(secret)
					r.RemoteAddr = from + ":1234"
					start := time.Now()
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if (w.Code == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") != "") {
						t.Errorf("%d has Retry-After %q", w.Code, w.Header().Get("Retry-After"))
					}
					return w.Code, time.Since(start)
				}
				var mu sync.Mutex
				statuses := make(map[int]int)
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						status, _ := send("192.0.2.1", "guess-guess-guess")
						mu.Lock()
						defer mu.Unlock()
						statuses[status]++
					})
				}
				all.Wait()
				if statuses[c.wrong] != burstPerAddress+5 || statuses[http.StatusTooManyRequests] != 1000-burstPerAddress-5 {
					t.Errorf("1000 wrong tokens at once = %v, want %d answers and the rest refused", statuses, burstPerAddress+5)
				}
				if status, took := send("192.0.2.1", right); status != c.let || took != 0 {
					t.Errorf("the right token from there = %d after %s, want %d at once", status, took, c.let)
				}
				if status, took := send("192.0.2.2", "guess"); status != c.wrong || took != 0 {
					t.Errorf("a wrong token from elsewhere = %d after %s, want %d at once", status, took, c.wrong)
				}
				// From many addresses: overall.
				clear(statuses)
				for i := range 1000 {
					all.Go(func() {
						status, _ := send(fmt.Sprintf("198.51.100.%d", i%100), "guess-guess-guess")
						mu.Lock()
						defer mu.Unlock()
						statuses[status]++
					})
				}
				all.Wait()
				if got := statuses[c.wrong]; got > burstOverall+5*attemptsOverall {
					t.Errorf("1000 wrong tokens from 100 addresses = %v, want at most %d answers", statuses, burstOverall+5*attemptsOverall)
				}
				time.Sleep(2 * time.Minute)
				if lines := logs.All(); len(lines) != 1 || lines[0].ContextMap()["count"] != int64(2001) {
					t.Errorf("log = %v, want one line with the number of 2001", lines)
				}
			})
		})
	}
}

// TestAttemptAddresses holds that addresses are not remembered without bound.
func TestAttemptAddresses(t *testing.T) {
	a := newAttempts(zap.NewNop())
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := range 3 * maxAttemptAddresses {
		r.RemoteAddr = fmt.Sprintf("[2001:db8:0:%x::1]:1234", i)
		a.reserve(clientAddress(r))
	}
	if got := len(a.addresses); got > maxAttemptAddresses {
		t.Errorf("%d addresses are remembered, want at most %d", got, maxAttemptAddresses)
	}
}
