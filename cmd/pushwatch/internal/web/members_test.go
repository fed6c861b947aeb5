package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestStatusOfMembers asks one of three members, of which one is dead.
func TestStatusOfMembers(t *testing.T) {
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: "sqlite:" + t.TempDir() + "/w.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := time.Date(2026, 11, 22, 18, 16, 5, 0, time.UTC)
	account := func(name string) watcher.AccountStatus {
		return watcher.AccountStatus{Name: name, Limit: 20, Tasks: map[watcher.State]int{watcher.Pushing: 2}}
	}
	members := []watcher.Member{
		{Name: "a", Live: true, Since: at, BeatAt: at.Add(time.Hour)},
		// It owns one of the two that it told of.
		{Name: "b", Live: true, Since: at, BeatAt: at.Add(time.Hour), Accounts: []string{"school"}, Status: []watcher.AccountStatus{account("college"), account("school")}},
		{Name: "c", Since: at, BeatAt: at, Accounts: []string{"academy"}, Status: []watcher.AccountStatus{account("academy")}},
	}
	registry := prometheus.NewRegistry()
	dispatcher := notify.New(notify.Config{Archive: db})
	h := New(Config{
		Tasks: engine.New(engine.Config{Registry: db, Metrics: registry}), Events: db, Dispatcher: dispatcher,
		Metrics: registry, Member: "a", Members: func(context.Context) ([]watcher.Member, error) { return members, nil },
		Alive: func() error { return nil }, Ready: func(context.Context) error { return nil },
	})
	for _, a := range h.Accounts(t.Context()) { // those of a dead member are as they were when it died
		want := time.Time{}
		if a.Member == "c" {
			want = at
		}
		if a.Unheard != want {
			t.Errorf("account %s of %s is not heard of since %v, want %v", a.Name, a.Member, a.Unheard, want)
		}
	}
	r := httptest.NewRequest("GET", "/v1/status", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got struct {
		Accounts []struct {
			Name, Member string
			Tasks        struct{ Pushing int }
		}
		Members json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("GET = %d %s, %v", w.Code, w.Body, err)
	}
	if len(got.Accounts) != 2 || got.Accounts[0].Name != "academy" || got.Accounts[0].Member != "c" ||
		got.Accounts[1].Name != "school" || got.Accounts[1].Member != "b" || got.Accounts[1].Tasks.Pushing != 2 {
		t.Errorf("accounts = %+v, want academy of c and school of b", got.Accounts)
	}
	const want = `[{"name":"a","live":true,"self":true,"since":"2026-11-22T18:16:05Z","last_beat_at":"2026-11-22T19:16:05Z","accounts":[]},` +
		`{"name":"b","live":true,"self":false,"since":"2026-11-22T18:16:05Z","last_beat_at":"2026-11-22T19:16:05Z","accounts":["school"]},` +
		`{"name":"c","live":false,"self":false,"since":"2026-11-22T18:16:05Z","last_beat_at":"2026-11-22T18:16:05Z","accounts":["academy"]}]`
	if string(got.Members) != want {
		t.Errorf("members\n got %s\nwant %s", got.Members, want)
	}
}
