package notifytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify/notifytest"
)

// serve returns a receiver that gives this answer, and its address.
func serve(t *testing.T, answer notifytest.Answer) (*notifytest.Receiver, string) {
	t.Helper()
	r := notifytest.New(notifytest.Config{Fail: func(notifytest.Delivery) notifytest.Answer { return answer }})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func TestAnswer(t *testing.T) {
	_, url := serve(t, notifytest.Answer{
		Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {"7"}},
		Body:   "slower, please",
		Drip:   time.Millisecond,
	})
	resp, err := http.DefaultClient.Do(request(nil, url, "msg_a", event("msg_a", "math", 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || string(body) != "slower, please" || err != nil {
		t.Errorf("answer = %d, %v, %q, %v; want 429, Retry-After 7, the body", resp.StatusCode, resp.Header, body, err)
	}
}

// Cues that differ from one delivery to the next are what Fail is for.
func TestFailOnCue(t *testing.T) {
	attempts := 0
	r := notifytest.New(notifytest.Config{Fail: func(d notifytest.Delivery) notifytest.Answer {
		if attempts++; attempts == 1 && d.ID == "msg_a" {
			return notifytest.Answer{Status: http.StatusServiceUnavailable}
		}
		return notifytest.Answer{}
	}})
	for _, want := range []int{503, 204} {
		if got := send(r, nil, "msg_a", event("msg_a", "math", 1)).Code; got != want {
			t.Errorf("status = %d, want %d", got, want)
		}
	}
	if sum, err := r.Check(); sum.Repeats != 1 || err != nil {
		t.Errorf("Check() = %+v, %v, want one repeat and no fault", sum, err)
	}
}

func TestAnswerTakesItsTime(t *testing.T) {
	tests := []struct {
		name   string
		answer notifytest.Answer
		want   time.Duration
	}{
		{"delay", notifytest.Answer{Status: 200, Delay: time.Minute, Body: "abc"}, time.Minute},
		{"drip", notifytest.Answer{Status: 200, Drip: time.Second, Body: "abc"}, 3 * time.Second},
		{"both", notifytest.Answer{Status: 200, Delay: time.Minute, Drip: time.Second, Body: "abc"}, 63 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := notifytest.New(notifytest.Config{Fail: func(notifytest.Delivery) notifytest.Answer { return tt.answer }})
			start := time.Now()
			w := send(r, nil, "msg_a", event("msg_a", "math", 1))
			if got := time.Since(start); got != tt.want || w.Body.String() != "abc" {
				t.Errorf("%s: %q after %v, want abc after %v", tt.name, w.Body, got, tt.want)
			}
		})
	}
}

func TestDrop(t *testing.T) {
	r, url := serve(t, notifytest.Answer{Drop: true})
	resp, err := http.DefaultClient.Do(request(nil, url, "msg_a", event("msg_a", "math", 1)))
	if err == nil {
		resp.Body.Close()
		t.Errorf("answer = %d, want none", resp.StatusCode)
	}
	if got := len(r.Deliveries()); got != 1 {
		t.Errorf("deliveries = %d, want 1: it did arrive", got)
	}
}

func TestHang(t *testing.T) {
	r, url := serve(t, notifytest.Answer{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		r.Wait(ctx, func(d []notifytest.Delivery) bool { return len(d) == 1 })
		cancel() // it is held by now, or is about to be
	}()
	resp, err := http.DefaultClient.Do(request(nil, url, "msg_a", event("msg_a", "math", 1)).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
		t.Errorf("answer = %d, want none", resp.StatusCode)
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v, want %v: nothing but the sender ends a hanging request", err, context.Canceled)
	}
}

// Whichever way an answer is slow, a sender that went away sets it free.
func TestAnswerEndsWithRequest(t *testing.T) {
	tests := map[string]notifytest.Answer{
		"hang":  {Hang: true},
		"delay": {Delay: 24 * time.Hour},
		"drip":  {Status: 200, Body: strings.Repeat("x", 1000), Drip: time.Hour},
	}
	for name, answer := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := notifytest.New(notifytest.Config{Fail: func(notifytest.Delivery) notifytest.Answer { return answer }})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			func() {
				defer func() {
					if p := recover(); p != nil && p != http.ErrAbortHandler {
						t.Errorf("%s: panic %v, want none but http.ErrAbortHandler", name, p)
					}
				}()
				r.ServeHTTP(httptest.NewRecorder(), request(nil, "/", "msg_a", "{}").WithContext(ctx))
			}()
			if got := time.Since(start); got != time.Minute {
				t.Errorf("%s: held for %v, want 1m", name, got)
			}
		})
	}
}
