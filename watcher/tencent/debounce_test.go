package tencent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher/setting"
)

// shelf is a source of keys that a test changes.
type shelf struct {
	keys Keys
	err  error
}

func (s *shelf) Keys(context.Context) (Keys, error) { return s.keys, s.err }

func TestAChangeCountsOnceItIsWholeOrHasSettled(t *testing.T) {
	unreadable := errors.New("unreadable")
	type step struct {
		after time.Duration
		found Keys
		err   error
		want  Keys // none: the error
	}
	old, renewed := Keys{"id1", "key1", "token1"}, Keys{"id2", "key2", "token2"}
	for name, steps := range map[string][]step{
		"whole": {{0, old, nil, old}, {1, renewed, nil, renewed}},
		"in parts": {
			{0, old, nil, old}, {1, Keys{"id2", "key1", "token1"}, nil, old}, {9 * time.Second, Keys{"id2", "key2", "token1"}, nil, old},
			{9 * time.Second, renewed, nil, renewed},
		},
		"without a token": {
			{0, Keys{"id1", "key1", ""}, nil, Keys{"id1", "key1", ""}}, {1, Keys{"id1", "key2", ""}, nil, Keys{"id1", "key1", ""}},
			{1, Keys{"id2", "key2", ""}, nil, Keys{"id2", "key2", ""}},
		},
		"from lasting to temporary": {{0, Keys{"id1", "key1", ""}, nil, Keys{"id1", "key1", ""}}, {1, renewed, nil, renewed}},
		"from temporary to lasting": {{0, old, nil, old}, {1, Keys{"id2", "key2", ""}, nil, Keys{"id2", "key2", ""}}},
		"one part for good": {
			{0, old, nil, old}, {1, Keys{"id1", "key2", "token1"}, nil, old},
			{settleTime - 1, Keys{"id1", "key2", "token1"}, nil, old}, {1, Keys{"id1", "key2", "token1"}, nil, Keys{"id1", "key2", "token1"}},
		},
		"one part and back": {
			{0, old, nil, old}, {1, Keys{"id1", "key2", "token1"}, nil, old}, {settleTime - 1, old, nil, old},
			{1, Keys{"id1", "key2", "token1"}, nil, old},
		},
		"unreadable for a moment": {
			{0, old, nil, old}, {1, Keys{}, unreadable, old}, {settleTime - 1, Keys{}, unreadable, old}, {1, renewed, nil, renewed},
		},
		"unreadable": {
			{0, old, nil, old}, {1, Keys{}, unreadable, old}, {settleTime, Keys{}, unreadable, Keys{}}, {1, Keys{"id1", "key2", "token1"}, nil, Keys{"id1", "key2", "token1"}},
		},
		"not so far":           {{0, Keys{}, unreadable, Keys{}}, {1, old, nil, old}},
		"half read and faulty": {{0, old, nil, old}, {1, Keys{"id2", "key2", "token2"}, unreadable, old}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := new(shelf)
				credentials := &debounced{source: source}
				for i, step := range steps {
					time.Sleep(step.after)
					source.keys, source.err = step.found, step.err
					got, err := credentials.Keys(t.Context())
					if got != step.want || (err != nil) != (step.want == Keys{}) {
						t.Errorf("step %d: Keys() = %q, %v, want %q", i, parts(got), err, parts(step.want))
					}
				}
			})
		})
	}
}

// parts are keys as a test's message shows them.
func parts(k Keys) []string { return []string{k.SecretID, k.SecretKey, k.Token} }

// replace renames a new file into place.
func replace(t *testing.T, path, text string) {
	t.Helper()
	err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A verifier is a service that accepts the keys of any generation, as long as
// they belong together.
type verifier struct{ latest atomic.Int64 }

func generation(n int64) Keys {
	return Keys{fmt.Sprint("id", n), fmt.Sprint("key", n), fmt.Sprint("token", n)}
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var n int64
	fmt.Sscanf(r.Header.Get("X-TC-Token"), "token%d", &n)
	if r.Header.Get("Authorization") != authorization(r, body, generation(n)) {
		answer(`{"Response":{"RequestId":"r","Error":{"Code":"AuthFailure.SignatureFailure","Message":"no"}}}`)(w, r)
		return
	}
	v.latest.Store(n)
	answer(pageAnswer)(w, r)
}

// clientWith returns a client of the service that signs with credentials.
func clientWith(t *testing.T, service http.Handler, credentials Credentials) *Client {
	t.Helper()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	client, err := New(Config{Endpoint: server.URL, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.transport.http.CloseIdleConnections)
	return client
}

// The three files are replaced one by one, in every order, with a poll after
// each step, and again with the file empty first, as writing in place has it.
func TestPollsGoThroughARotationOfFiles(t *testing.T) {
	var service verifier
	folder := t.TempDir()
	files := []string{filepath.Join(folder, "id"), filepath.Join(folder, "key"), filepath.Join(folder, "token")}
	for i, part := range parts(generation(0)) {
		replace(t, files[i], part)
	}
	client := clientWith(t, &service, Secrets{ID: setting.File(files[0]), Key: setting.File(files[1]), Token: setting.File(files[2])})
	poll := func(when string, want int64) {
		t.Helper()
		if _, err := client.Describe(t.Context(), testKey); err != nil {
			t.Errorf("Describe() %s = %v, want an answer", when, err)
		}
		if got := service.latest.Load(); got != want {
			t.Errorf("keys of a poll %s = generation %d, want %d", when, got, want)
		}
	}
	poll("before", 0)
	for n, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		old, renewed := int64(n), int64(n+1)
		for i, file := range order {
			if err := os.WriteFile(files[file], nil, 0o600); err != nil {
				t.Fatal(err)
			}
			poll(fmt.Sprintf("with part %d of order %v empty", i, order), old)
			replace(t, files[file], parts(generation(renewed))[file])
			if i < len(order)-1 {
				poll(fmt.Sprintf("after part %d of order %v", i, order), old)
			}
		}
		poll(fmt.Sprintf("after order %v", order), renewed)
	}
}

func TestManyPollsGoThroughRotations(t *testing.T) {
	var service verifier
	folder := t.TempDir()
	path := filepath.Join(folder, "default.credential")
	write := func(n int64) {
		k := generation(n)
		text := fmt.Sprintf(`{"secretId": %q, "secretKey": %q, "token": %q}`, k.SecretID, k.SecretKey, k.Token)
		// TCCLI writes over the file that is read.
		if err := os.WriteFile(path, bytes.Repeat([]byte(" "), 10), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(0)
	client := clientWith(t, &service, Profile{Path: path})
	if _, err := client.Describe(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	var pollers sync.WaitGroup
	for range 4 {
		pollers.Go(func() {
			for ctx.Err() == nil {
				if _, err := client.Describe(t.Context(), testKey); err != nil {
					t.Errorf("Describe() during rotations = %v, want an answer", err)
				}
			}
		})
	}
	for n := int64(1); n <= 10; n++ {
		write(n)
		for service.latest.Load() != n && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		t.Errorf("keys of the polls = generation %d, want 10", service.latest.Load())
	}
	cancel()
	pollers.Wait()
}
