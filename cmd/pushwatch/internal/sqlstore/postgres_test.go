package sqlstore

import (
	"errors"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// TestSilentDatabase has a connection die unnoticed: whoever reads is told before long.
func TestSilentDatabase(t *testing.T) {
	proxy := storetest.NewProxy(t, storetest.Postgres(t))
	proxy.Open(t)
	db := openURL(t, proxy.URL)
	a := ownTest(t, db)
	key := watcher.Key{SDKAppID: 1, TaskID: "a"}
	if _, err := a.Task(t.Context(), key); !errors.Is(err, watcher.ErrNoTask) {
		t.Fatalf("Task() = %v, want %v", err, watcher.ErrNoTask)
	}
	db.readTimeout = 100 * time.Millisecond
	proxy.Slow(time.Hour)
	for name, read := range map[string]func() error{
		"Task": func() error { _, err := a.Task(t.Context(), key); return err },
		"Body": func() error { _, err := a.Body(t.Context(), 1); return err },
		"Live": func() error { return a.Live(t.Context(), func(watcher.Task) error { return nil }) },
	} {
		if err := read(); !errors.Is(err, errSilent) {
			t.Errorf("%s() of a silent database = %v, want %v", name, err, errSilent)
		}
	}
}

// TestFrozenTransaction freezes a process in the middle of a transaction: the server ends
// it, and so frees what it had locked, before others consider the process
// dead.
func TestFrozenTransaction(t *testing.T) {
	const ttl = time.Second
	url := storetest.Postgres(t)
	frozen, err := Open(t.Context(), Config{URL: url, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	other, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = frozen.write(t.Context(), func(tx transaction) error {
		if _, err := tx.lockAccount(t.Context(), "school", 1); err != nil {
			return err
		}
		start := time.Now()
		if _, err := other.Own(t.Context(), "school"); err != nil { // which waits for the row
			t.Errorf("Own() of an account that a frozen transaction had locked = %v, want nil", err)
			return err
		}
		if waited := time.Since(start); waited < ttl/4 {
			t.Errorf("Own() of a locked account took %s, want about %s", waited, ttl/2)
		}
		_, err := tx.lockAccount(t.Context(), "school", 1)
		return err
	})
	if err == nil {
		t.Error("a transaction that was frozen for longer than it may went on")
	}
}
