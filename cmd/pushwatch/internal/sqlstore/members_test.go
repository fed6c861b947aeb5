package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// testTTL is short, for tests to be; no test depends on how short.
const testTTL = 1500 * time.Millisecond

// A member is a replica that does nothing with its accounts but write them down.
type member struct {
	t       *testing.T
	db      *sqlstore.DB
	replica *sqlstore.Replica
	leave   func() // ends it as SIGTERM does

	mu      sync.Mutex
	owned   map[string]*sqlstore.Account
	noticed []watcher.Note
}

// join adds a member whose settings name some accounts.
func join(t *testing.T, url string, accounts ...string) *member {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: url, TTL: testTTL})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, db: db, owned: make(map[string]*sqlstore.Account)}
	m.replica = db.Join(sqlstore.ReplicaConfig{
		Accounts: accounts, Log: zap.NewNop(), Own: m.own, RefreshNotifiers: func(context.Context) error { return nil },
		Notice: func(_ string, notes []watcher.Note) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.noticed = append(m.noticed, notes...)
			return true
		},
		Status: func() (all []watcher.AccountStatus) {
			for _, name := range m.owns() {
				all = append(all, watcher.AccountStatus{Name: name, Limit: 20})
			}
			return all
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.replica.Run(ctx); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	m.leave = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		db.Close()
	})
	t.Cleanup(m.leave)
	return m
}

func (m *member) own(_ context.Context, a *sqlstore.Account, lose context.CancelCauseFunc) func() {
	m.mu.Lock()
	m.owned[a.Name()] = a
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := a.Run(ctx); err != nil {
			lose(err)
		}
	})
	return func() {
		cancel()
		writer.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.owned, a.Name())
	}
}

// owns returns the accounts that the member has, by name.
func (m *member) owns() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.owned {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// owning reports whether members have so many accounts, no two the same.
func owning(members []*member, counts ...int) func() bool {
	return func() bool {
		seen := make(map[string]bool)
		for i, m := range members {
			names := m.owns()
			if len(names) != counts[i] {
				return false
			}
			for _, name := range names {
				if seen[name] {
					return false
				}
				seen[name] = true
			}
		}
		return true
	}
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("account-%d", i))
	}
	return all
}

// TestMembers has members join, leave and change their settings, directly and by way
// of a PgBouncer in transaction mode.
func TestMembers(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"direct":    func(t *testing.T) string { return storetest.Postgres(t) },
		"pgbouncer": func(t *testing.T) string { return storetest.PgBouncer(t, storetest.Postgres(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := url(t)
			a, b := join(t, url, names(12)...), join(t, url, names(12)...)
			eventually(t, "two have six each", owning([]*member{a, b}, 6, 6))
			c := join(t, url, names(12)...)
			eventually(t, "three have four each", owning([]*member{a, b, c}, 4, 4, 4))
			for _, name := range c.owns() {
				if !c.replica.Owns(name) || a.replica.Owns(name) {
					t.Errorf("account %s is held by the wrong one", name)
				}
			}
			b.leave()
			eventually(t, "those of the one that left are shared", owning([]*member{a, c}, 6, 6))
			if err := b.replica.Ready(); err == nil {
				t.Error("Ready() of one that left = nil, want an error")
			}
			a.replica.SetAccounts(names(2))
			eventually(t, "one has what the other's settings do not name", owning([]*member{a, c}, 1, 11))

			eventually(t, "the members tell what they own", func() bool {
				members, err := c.db.Members(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(members) != 2 {
					return false
				}
				for _, m := range members {
					if !m.Live || m.Since.IsZero() || m.BeatAt.Before(m.Since) || len(m.Status) != len(m.Accounts) {
						return false
					}
				}
				return true
			})
		})
	}
}

// TestMemberLost has an account's owner lose it to another, as when it was taken for
// dead: its writer is fenced, and it does not take the account back.
func TestMemberLost(t *testing.T) {
	url := storetest.Postgres(t)
	m := join(t, url, "school")
	eventually(t, "it is owned", owning([]*member{m}, 1))
	m.mu.Lock()
	account := m.owned["school"]
	m.mu.Unlock()

	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, statement := range []string{
		`INSERT INTO members (name, since, beat_at, accounts) VALUES ('other', 0, 9000000000000000, '["school"]')`, // lives for ever
		`UPDATE accounts SET owner = 'other', epoch = epoch + 1`,
	} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it is let go of", owning([]*member{m}, 0))
	if err := account.SaveLearned(t.Context(), []byte(`{}`)); err == nil {
		t.Error("SaveLearned() of an account that was lost = nil, want an error")
	}
	if m.replica.Owns("school") {
		t.Error("Holds() = true, want false")
	}
	if _, err := raw.Exec(`UPDATE members SET beat_at = 0 WHERE name = 'other'`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is taken from the dead", owning([]*member{m}, 1))
}

// TestMemberLocked has a frozen owner keep its account's row locked. Others are not
// held up by that, and the server ends its transaction before its heartbeat is too
// old, which frees the row.
func TestMemberLocked(t *testing.T) {
	url := storetest.Postgres(t)
	db := open(t, url)
	if _, err := db.Own(t.Context(), "frozen"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	tx, err := raw.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`UPDATE accounts SET last_event = last_event WHERE name = 'frozen'`); err != nil {
		t.Fatal(err)
	}
	m := join(t, url, "frozen", "other")
	eventually(t, "the other account is taken", owning([]*member{m}, 1))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are taken", owning([]*member{m}, 2))
}

// TestMemberCutOff has a member lose its database: by the time at which others may take
// its accounts, it holds none.
func TestMemberCutOff(t *testing.T) {
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	proxy.Open(t)
	m := join(t, proxy.URL, "school")
	eventually(t, "it is owned", owning([]*member{m}, 1))
	if err := m.replica.Ready(); err != nil {
		t.Errorf("Ready() = %v, want nil", err)
	}
	proxy.Close()
	for cut := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		asked := time.Now()
		if !m.replica.Owns("school") {
			break
		}
		if since := asked.Sub(cut); since > testTTL {
			t.Fatalf("Holds() %s after it was cut off = true, want false before others take the account", since)
		}
	}
	eventually(t, "its work ends", owning([]*member{m}, 0))
	if err := m.replica.Ready(); err == nil {
		t.Error("Ready() without the database = nil, want an error")
	}
}

// TestNotes has one that is not the owner register, change and remove tasks: the owner
// hears of each, of its own doing nothing, and a new owner of what the one before has
// not read.
func TestNotes(t *testing.T) {
	url := storetest.Postgres(t)
	owner := join(t, url, "school")
	eventually(t, "it is owned", owning([]*member{owner}, 1))
	other := open(t, url)
	defer other.Close()
	noticed := func(want ...string) {
		t.Helper()
		var got []string
		eventually(t, fmt.Sprintf("the owner has heard of %v", want), func() bool {
			owner.mu.Lock()
			defer owner.mu.Unlock()
			got = nil
			for _, n := range owner.noticed {
				text := n.Key.TaskID
				if n.Task == nil {
					text += " gone"
				} else if n.Urgent {
					text += " urgent"
				}
				got = append(got, text)
			}
			return len(got) >= len(want)
		})
		if !slices.Equal(got, want) {
			t.Errorf("noticed %v, want %v", got, want)
		}
		owner.mu.Lock()
		owner.noticed = nil
		owner.mu.Unlock()
	}
	ask := func(db *sqlstore.DB, id string) watcher.Task {
		t.Helper()
		tasks, err := db.Register(t.Context(), []watcher.Task{{Key: watcher.Key{SDKAppID: 1, TaskID: id}, Account: "school", State: watcher.Registered, RegisteredAt: time.Now(), Version: 1}}, false)
		if err != nil {
			t.Fatal(err)
		}
		return tasks[0].Task
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a := ask(other, "a")
	noticed("a")
	ask(owner.db, "b")
	ask(other, "a") // it is known: nobody need be told
	a.Version++
	check(other.Amend(t.Context(), a))
	noticed("a")
	check(other.Hurry(t.Context(), a))
	noticed("a urgent")
	check(other.Remove(t.Context(), a.Key))
	noticed("a gone")

	owner.leave()
	ask(other, "c")
	owner = join(t, url, "school")
	noticed("c")
}

// TestPgBouncer runs the suite of the store by way of a PgBouncer in transaction mode.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Backend{
		Fresh: func(t *testing.T) string { return storetest.PgBouncer(t, storetest.Postgres(t)) }, Open: openSuite,
	})
}
