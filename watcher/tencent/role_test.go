package tencent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
)

// A metadata is a metadata service that gives a new generation of keys at each
// request, each for lifetime. It is a RoundTripper too, since sockets cannot be
// used within synctest.
type metadata struct {
	lifetime, latency time.Duration

	mu      sync.Mutex
	asked   int64 // for keys, so far
	failing bool
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/roles/" {
		io.WriteString(w, "my-role\n")
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	switch {
	case m.failing:
		http.Error(w, "out of order", http.StatusInternalServerError)
	case r.URL.Path != "/roles/my-role":
		http.NotFound(w, r)
	default:
		io.WriteString(w, roleAnswer(generation(m.asked), time.Now().Add(m.lifetime)))
	}
}

func (m *metadata) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(m.latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if w.Code != http.StatusOK { // as transport has it
		return nil, errors.New("out of order")
	}
	return w.Result(), nil
}

func (m *metadata) fail(failing bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = failing
}

func (m *metadata) requests() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func roleAnswer(k Keys, expires time.Time) string {
	return fmt.Sprintf(`{"TmpSecretId":%q,"TmpSecretKey":%q,"ExpiredTime":%d,"Expiration":%q,"Token":%q,"Code":"Success"}`,
		k.SecretID, k.SecretKey, expires.Unix(), expires.UTC().Format(time.RFC3339), k.Token)
}

// bubbleRole returns a role of m for use within synctest.
func bubbleRole(m *metadata) *Role { return &Role{URL: "http://metadata.example/roles", transport: m} }

// give asks role for keys, which must be of generation n.
func give(t *testing.T, role *Role, n int64) {
	t.Helper()
	if got, err := role.Keys(t.Context()); err != nil || got != generation(n) {
		t.Errorf("Keys() = %q, %v, want those of generation %d", parts(got), err, n)
	}
}

func TestRoleKeysAreKeptAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &metadata{lifetime: time.Hour, latency: time.Second}
		role := bubbleRole(service)
		give(t, role, 1)
		for range 35 {
			time.Sleep(time.Minute)
			give(t, role, 1)
		}
		time.Sleep(10 * time.Minute) // 3/4 of the hour have passed
		begun := time.Now()
		give(t, role, 1) // while the new ones are asked for
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("Keys() took %v beside a renewal, want no time", waited)
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		give(t, role, 2)
		if got := service.requests(); got != 2 {
			t.Errorf("requests for keys = %d, want 2", got)
		}
	})
}

func TestRoleRenewalsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &metadata{lifetime: time.Hour, latency: time.Second}
		role := bubbleRole(service)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { give(t, role, 1) })
		}
		all.Wait()
		time.Sleep(time.Hour) // nobody asked meanwhile
		for range 100 {
			all.Go(func() { give(t, role, 2) })
		}
		all.Wait()
		if got := service.requests(); got != 2 {
			t.Errorf("requests for keys = %d, want 2", got)
		}
	})
}

func TestRoleKeysOutlastAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &metadata{lifetime: time.Hour}
		role := bubbleRole(service)
		give(t, role, 1)
		service.fail(true)
		for range 3599 {
			time.Sleep(time.Second)
			give(t, role, 1)
		}
		if got, most := service.requests(), int64(2+24*60/5); got < 100 || got > most {
			t.Errorf("requests for keys = %d in an hour with an outage, want 100 to %d", got, most)
		}
		time.Sleep(time.Second)
		got, err := role.Keys(t.Context())
		if want := "get keys of role my-role: out of order"; err == nil || err.Error() != want || got != (Keys{}) {
			t.Errorf("Keys() with expired keys = %q, %v, want %s", parts(got), err, want)
		}
		service.fail(false)
		time.Sleep(2 * renewPause)
		give(t, role, service.requests()+1)
	})
}

// A service that hands out the same keys until they expire is asked ever more
// often, but never in a loop.
func TestRoleKeysThatAreNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expires, asked := time.Now().Add(time.Hour), 0
		role := &Role{Name: "my-role", transport: roundTripper(func(*http.Request) (*http.Response, error) {
			asked++
			w := httptest.NewRecorder()
			io.WriteString(w, roleAnswer(generation(1), expires))
			return w.Result(), nil
		})}
		for time.Now().Before(expires) {
			give(t, role, 1)
			time.Sleep(100 * time.Millisecond)
		}
		_, err := role.Keys(t.Context())
		if err == nil || !strings.Contains(err.Error(), "expired at") {
			t.Errorf("Keys() with expired keys = %v, want an error that says so", err)
		}
		if asked < 3 || asked > 25 {
			t.Errorf("requests for keys = %d in an hour, want 3 to 25", asked)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRoleGivesUpOnAHangingService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := bubbleRole(&metadata{latency: time.Hour})
		begun := time.Now()
		_, err := role.Keys(t.Context())
		if want := "look up the instance's role: no answer within 3s"; err == nil || err.Error() != want {
			t.Errorf("Keys() = %v, want %s", err, want)
		}
		if took := time.Since(begun); took != renewTimeout {
			t.Errorf("Keys() took %v, want %v", took, renewTimeout)
		}
		begun = time.Now()
		if _, err := role.Keys(t.Context()); err == nil || time.Since(begun) != 0 {
			t.Errorf("Keys() = %v after %v, want the same error at once", err, time.Since(begun))
		}
	})
}

func TestRoleWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := bubbleRole(&metadata{lifetime: time.Hour, latency: time.Second})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second/2, errors.New("enough"))
		defer cancel()
		begun := time.Now()
		if _, err := role.Keys(ctx); err == nil || err.Error() != "enough" || time.Since(begun) != time.Second/2 {
			t.Errorf("Keys() = %v after %v, want the end of its context", err, time.Since(begun))
		}
		give(t, role, 1) // of the renewal that the first caller began
	})
}

func TestPollsGoThroughTheRenewalsOfARole(t *testing.T) {
	var service verifier
	source := &metadata{lifetime: 3 * time.Second} // more than the clock's resolution in an answer
	server := httptest.NewServer(source)
	defer server.Close()
	client := clientWith(t, &service, &Role{URL: server.URL + "/roles/"})
	for end := time.Now().Add(hang); service.latest.Load() < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := client.Describe(t.Context(), testKey); err != nil {
			t.Fatalf("Describe() = %v, want an answer", err)
		}
	}
	if got := service.latest.Load(); got < 2 {
		t.Errorf("keys of the last poll = generation %d, want 2 or later", got)
	}
}

func TestRoleErrorsAreClearAndHoldNoSecrets(t *testing.T) {
	keys, later := Keys(testKeys), time.Now().Add(time.Hour)
	good := roleAnswer(keys, later)
	const role = "get keys of role my-role: "
	for name, test := range map[string]struct {
		lookUp, answer string
		status         int
		want           string
	}{
		"no role":       {want: "look up the instance's role: http 404: no such role is bound to the instance"},
		"blank name":    {lookUp: "\n", answer: good, want: "look up the instance's role: its name is not one"},
		"a page":        {lookUp: "<html>" + keys.Token, answer: good, want: "look up the instance's role: its name is not one"},
		"another path":  {lookUp: "../my-role", answer: good, want: "look up the instance's role: its name is not one"},
		"unknown role":  {lookUp: "my-role", status: 404, answer: good, want: role + "http 404: no such role is bound to the instance"},
		"out of order":  {lookUp: "my-role", status: 500, answer: good, want: role + "http 500"},
		"redirect":      {lookUp: "my-role", status: 302, answer: good, want: role + "http 302"},
		"too long":      {lookUp: "my-role", answer: good + strings.Repeat(" ", maxBody), want: role + "unreadable"},
		"empty":         {lookUp: "my-role", answer: "", want: role + "the answer is not the JSON of a role's keys"},
		"garbage":       {lookUp: "my-role", answer: keys.SecretKey, want: role + "the answer is not the JSON of a role's keys"},
		"cut short":     {lookUp: "my-role", answer: good[:len(good)-2], want: role + "the answer is not the JSON of a role's keys"},
		"mistyped":      {lookUp: "my-role", answer: `{"TmpSecretId":["` + keys.SecretID + `"]}`, want: role + "the answer is not the JSON of a role's keys"},
		"null":          {lookUp: "my-role", answer: "null", want: role + `the answer's code is "", want Success`},
		"failed":        {lookUp: "my-role", answer: `{"Code":"Failed"}`, want: role + `the answer's code is "Failed", want Success`},
		"echoing":       {lookUp: "my-role", answer: strings.Replace(good, "Success", keys.SecretKey, 1), want: role + `the answer's code is "***", want Success`},
		"expired":       {lookUp: "my-role", answer: roleAnswer(keys, time.Unix(1e9, 0)), want: role + "they expired at 2001-09-09T01:46:40Z by the clock here"},
		"no token":      {lookUp: "my-role", answer: roleAnswer(Keys{keys.SecretID, keys.SecretKey, ""}, later), want: role + "token: is empty"},
		"no secret id":  {lookUp: "my-role", answer: roleAnswer(Keys{"", keys.SecretKey, keys.Token}, later), want: role + "secret id: is empty"},
		"broken secret": {lookUp: "my-role", answer: roleAnswer(Keys{keys.SecretID, keys.SecretKey + "\n", keys.Token}, later), want: role + "secret key: holds a blank or another character that no key has"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/":
					if test.lookUp == "" {
						w.WriteHeader(http.StatusNotFound)
					}
					io.WriteString(w, test.lookUp)
				case "/my-role":
					if test.status != 0 {
						w.Header().Set("Location", "/elsewhere")
						w.WriteHeader(test.status)
					}
					io.WriteString(w, test.answer)
				default:
					t.Errorf("request for %s, want none", r.URL.Path)
				}
			}))
			defer server.Close()
			got, err := (&Role{URL: server.URL}).Keys(t.Context())
			if err == nil || err.Error() != test.want || got != (Keys{}) {
				t.Fatalf("Keys() = %q, %v, want %s", parts(got), err, test.want)
			}
			noSecrets(t, fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestRoleOfAnUnreachableServiceIsAnErrorOfTheAccount(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	got := describe(t, clientWith(t, new(verifier), &Role{URL: server.URL}))
	if got.Code != "credentials" || got.Kind != watcher.DeniedAccount || got.Sent != watcher.Unsent || !strings.Contains(got.Message, "refused") {
		t.Errorf("Describe() = %#v, want credentials of the whole account that are refused, unsent", got)
	}
}

// The environment has a proxy, which must not see a role's keys.
func TestRoleUsesNoProxy(t *testing.T) {
	role := new(Role)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	role.get(ctx, "http://metadata.example/") // makes the transport
	var dialled string
	role.transport.(*transport).http.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errors.New("no network")
	}
	_, err := role.get(t.Context(), "http://metadata.example/")
	if dialled != "metadata.example:80" || err == nil {
		t.Errorf("dialled %q (%v), want metadata.example:80", dialled, err)
	}
}

func TestRolePrintsMasked(t *testing.T) {
	role := &Role{keys: Keys(testKeys)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, role); got != "***" {
			t.Errorf("%s of a role = %q, want ***", verb, got)
		}
	}
}
