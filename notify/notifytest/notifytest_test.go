package notifytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
)

func newKey(t *testing.T) signing.Key {
	t.Helper()
	key, err := signing.ParseKey(signing.GenerateSecret())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// event returns a body as pushwatch makes it.
func event(id, task string, sequence int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"urn:pushwatch:test","type":"push.started",
		"subject":"1400000001/%s","time":"2026-11-22T18:16:05.123456Z",
		"data":{"sequence":%d,"sdk_app_id":1400000001,"task_id":%q}}`, id, task, sequence, task)
}

// request returns the first attempt of a webhook, signed now.
func request(keys []signing.Key, url, id, body string) *http.Request {
	now := time.Now()
	req := httptest.NewRequest(http.MethodPost, url, strings.NewReader(body))
	req.RequestURI = "" // so that a client takes it too
	req.Header.Set(signing.HeaderID, id)
	req.Header.Set(signing.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(signing.HeaderSignature, signing.Sign(keys, id, now, []byte(body)))
	req.Header.Set(signing.HeaderAttempt, "1")
	return req
}

// send hands r a webhook and returns the answer.
func send(r *notifytest.Receiver, keys []signing.Key, id, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request(keys, "/", id, body))
	return w
}

func TestReceiverReads(t *testing.T) {
	keys := []signing.Key{newKey(t)}
	r := notifytest.New(notifytest.Config{Keys: keys})
	body := event("msg_a", "math", 3)
	before := time.Now()
	if got := send(r, keys, "msg_a", body).Code; got != http.StatusNoContent {
		t.Errorf("status = %d, want 204", got)
	}

	got := r.Deliveries()
	if len(got) != 1 {
		t.Fatalf("Deliveries() = %v, want one", got)
	}
	d := got[0]
	if !d.Verified || d.Err != nil || d.ID != "msg_a" || d.Attempt != 1 || string(d.Body) != body || d.At.Before(before) {
		t.Errorf("delivery = %+v, want msg_a verified, attempt 1, with the body sent", d)
	}
	if d.Header.Get(signing.HeaderSignature) == "" {
		t.Errorf("header = %v, want what was sent", d.Header)
	}
	e := d.Event
	if e.ID != "msg_a" || e.Source != "urn:pushwatch:test" || e.Type != "push.started" || e.Subject != "1400000001/math" ||
		e.SDKAppID != 1400000001 || e.TaskID != "math" || e.Sequence != 3 || len(e.Data) == 0 ||
		!e.Time.Equal(time.Date(2026, 11, 22, 18, 16, 5, 123456000, time.UTC)) {
		t.Errorf("event = %+v, want what the body says", e)
	}
}

func TestReceiverJudges(t *testing.T) {
	keys, stranger := []signing.Key{newKey(t)}, []signing.Key{newKey(t)}
	good := event("msg_a", "math", 1)
	tests := []struct {
		name     string
		keys     []signing.Key // of the receiver
		signer   []signing.Key
		body     string
		status   int
		verified bool
		err      string // in Err; "" for none
	}{
		{"genuine", keys, keys, good, 204, true, ""},
		{"signed by a stranger", keys, stranger, good, 401, false, "no signature matches"},
		{"not signed", keys, nil, good, 401, false, "not signed"},
		{"no keys to verify with", nil, stranger, good, 204, false, ""},
		{"not JSON", keys, keys, "hello", 204, true, "read event"},
		{"not an event", keys, keys, `{"id":"msg_a"}`, 204, true, "no type"},
		{"data of another kind", keys, keys, `{"id":"msg_a","type":"x","data":[]}`, 204, true, "data"},
		{"another id inside", keys, keys, event("msg_b", "math", 1), 204, true, `"msg_b" in the body`},
		{"an event of no task", keys, keys, `{"id":"msg_a","type":"watcher.blind","data":{"sdk_app_id":null}}`, 204, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := notifytest.New(notifytest.Config{Keys: tt.keys})
			if got := send(r, tt.signer, "msg_a", tt.body).Code; got != tt.status {
				t.Errorf("status = %d, want %d", got, tt.status)
			}
			d := r.Deliveries()[0]
			if d.Verified != tt.verified {
				t.Errorf("Verified = %t, want %t", d.Verified, tt.verified)
			}
			if (d.Err == nil) != (tt.err == "") || d.Err != nil && !strings.Contains(d.Err.Error(), tt.err) {
				t.Errorf("Err = %v, want %q in it", d.Err, tt.err)
			}
		})
	}
}

func TestReceiverRefuses(t *testing.T) {
	r := notifytest.New(notifytest.Config{MaxBody: 8})
	tests := []struct {
		name   string
		method string
		body   io.Reader
		status int
	}{
		{"a GET", http.MethodGet, nil, http.StatusMethodNotAllowed},
		{"a large body", http.MethodPost, strings.NewReader("123456789"), http.StatusRequestEntityTooLarge},
		{"a body that breaks off", http.MethodPost, brokenBody{}, http.StatusBadRequest},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(tt.method, "/", tt.body))
		if w.Code != tt.status {
			t.Errorf("status of %s = %d, want %d", tt.name, w.Code, tt.status)
		}
	}
	if got := r.Deliveries(); len(got) != 0 {
		t.Errorf("Deliveries() = %v, want none", got)
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestKeep(t *testing.T) {
	r := notifytest.New(notifytest.Config{Keep: 2})
	send(r, nil, "msg_1", event("msg_1", "math", 1))
	send(r, nil, "msg_2", event("msg_2", "math", 2))
	early := r.Deliveries()
	if _, err := r.Check(); err != nil {
		t.Errorf("Check() with all kept = %v, want nil", err)
	}
	send(r, nil, "msg_3", event("msg_3", "math", 3))

	if got := r.Deliveries(); len(got) != 2 || got[0].ID != "msg_2" || got[1].ID != "msg_3" {
		t.Errorf("Deliveries() = %v, want msg_2 and msg_3", got)
	}
	if len(early) != 2 || early[0].ID != "msg_1" || early[1].ID != "msg_2" {
		t.Errorf("Deliveries() of before = %v, want msg_1 and msg_2 still", early)
	}
	if _, err := r.Check(); err == nil || !strings.Contains(err.Error(), "1 are no longer kept") {
		t.Errorf("Check() with one dropped = %v, want an error that says so", err)
	}
}

// Whoever prints deliveries needs them one at a time and in order.
func TestOnDelivery(t *testing.T) {
	var got []string // not guarded: the race detector sees two calls at once
	r := notifytest.New(notifytest.Config{OnDelivery: func(d notifytest.Delivery) { got = append(got, d.ID) }})
	var senders sync.WaitGroup
	for i := range 20 {
		senders.Go(func() {
			id := fmt.Sprint("msg_", i)
			send(r, nil, id, event(id, "math", 1))
		})
	}
	senders.Wait()

	kept := r.Deliveries()
	if len(got) != 20 || len(kept) != 20 {
		t.Fatalf("got %d, kept %d, want 20 each", len(got), len(kept))
	}
	for i, d := range kept {
		if got[i] != d.ID {
			t.Errorf("delivery %d is %s, want %s as kept", i, got[i], d.ID)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := notifytest.New(notifytest.Config{})
		two := func(d []notifytest.Delivery) bool { return len(d) == 2 }
		go func() {
			for i := range 2 {
				time.Sleep(time.Minute)
				id := fmt.Sprint("msg_", i)
				send(r, nil, id, event(id, "math", i+1))
			}
		}()
		start := time.Now()
		if err := r.Wait(t.Context(), two); err != nil {
			t.Errorf("Wait(two) = %v, want nil", err)
		}
		if got := time.Since(start); got != 2*time.Minute {
			t.Errorf("Wait(two) took %v, want 2m", got)
		}

		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, cause)
		defer cancel()
		never := func([]notifytest.Delivery) bool { return false }
		if err := r.Wait(ctx, never); !errors.Is(err, cause) {
			t.Errorf("Wait(never) = %v, want %v", err, cause)
		}
	})
}
