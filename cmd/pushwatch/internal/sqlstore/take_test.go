package sqlstore

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// stillReplica is a replica that does nothing by itself, over a new database.
func stillReplica(t *testing.T, ttl time.Duration, accounts ...string) *Replica {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: storetest.Postgres(t), TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db.Join(ReplicaConfig{
		Accounts: accounts, Log: zap.NewNop(), RefreshNotifiers: func(context.Context) error { return nil }, Status: func() []watcher.AccountStatus { return nil },
		Own:    func(context.Context, *Account, context.CancelCauseFunc) func() { return func() {} },
		Notice: func(string, []watcher.Note) bool { return true },
	})
}

// TestTakeAsSeen has two replicas see the same account free: one takes it, and the
// other, which is late, does not take it from that one.
func TestTakeAsSeen(t *testing.T) {
	r := stillReplica(t, time.Minute, "school")
	first, err := r.take(t.Context(), []accountSeen{{name: "school"}})
	if err != nil || len(first) != 1 {
		t.Fatalf("take() = %d accounts, %v, want one", len(first), err)
	}
	seen := accountSeen{name: "school", shard: first[0].shard} // as it was before
	if late, err := r.take(t.Context(), []accountSeen{seen}); err != nil || len(late) != 0 {
		t.Errorf("take() of what has been taken since = %d accounts, %v, want none", len(late), err)
	}
	seen.epoch = first[0].epoch
	if again, err := r.take(t.Context(), []accountSeen{seen}); err != nil || len(again) != 1 || again[0].epoch <= seen.epoch {
		t.Errorf("take() as it stands = %d accounts, %v, want one with a higher epoch", len(again), err)
	}
}

// TestLookAtExpiry has another member's heartbeat be about to be too old: the replica looks
// again when it is, though its own heartbeat is not due, and takes what that one owned.
func TestLookAtExpiry(t *testing.T) {
	const ttl = time.Hour
	r := stillReplica(t, ttl, "school")
	_, err := r.db.heartbeats.ExecContext(t.Context(), `INSERT INTO members (name, since, beat_at, accounts)
		VALUES ('other', 0, `+clockNow+` - $1 + 300000, '["school"]')`, ttl.Microseconds())
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.db.heartbeats.ExecContext(t.Context(), `INSERT INTO accounts (name, shard, epoch, last_event, last_delivery, owner) VALUES ('school', 1, 1, 0, 0, 'other')`)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	r.turn(t.Context(), &work, true)
	select {
	case <-r.wake:
	case <-time.After(time.Minute):
		t.Fatal("the replica does not look when the other is dead")
	}
	r.turn(t.Context(), &work, false)
	if !r.Owns("school") {
		t.Error("what the dead one owned is not taken at the first look")
	}
	r.lease.end(errStopping)
	work.Wait()
}
