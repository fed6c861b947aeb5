package sqlstore

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
)

// TestNotifications makes a replica receive notifications, which it cannot behind a PgBouncer in
// transaction mode: that shows, for it to look by itself.
func TestNotifications(t *testing.T) {
	listener := func(url string) *Replica {
		db, err := Open(t.Context(), Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db.Join(ReplicaConfig{Log: zap.NewNop()})
	}
	url := storetest.Postgres(t)
	a, b := listener(url), listener(url)
	go a.receiveNotifications(t.Context())
	for deadline := time.After(30 * time.Second); ; {
		if err := b.sendNotification(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-a.wake:
		case <-time.After(50 * time.Millisecond): // it does not listen yet
			continue
		case <-deadline:
			t.Fatal("no notification arrived")
		}
		break
	}
	if err := listener(storetest.PgBouncer(t, url)).listen(t.Context()); !errors.Is(err, errNoNotifications) {
		t.Errorf("listen() behind PgBouncer = %v, want %v", err, errNoNotifications)
	}
}
