package sqlstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/notify"
)

// TestNotifiersReadAgain changes the states of notifiers, and lets reading them fail:
// they are read again at the next look, and once they were, no more.
func TestNotifiersReadAgain(t *testing.T) {
	db, err := Open(t.Context(), Config{URL: storetest.Postgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.SaveNotifier(t.Context(), notify.NotifierRecord{Notifier: "classroom", Version: 1, State: notify.Paused, ChangedAt: time.Now()}, 0); err != nil {
		t.Fatal(err)
	}
	unread := errors.New("the database is away")
	reads := 0
	r := db.Join(ReplicaConfig{Log: zap.NewNop(), RefreshNotifiers: func(context.Context) error {
		if reads++; reads == 1 {
			return unread
		}
		return nil
	}})
	for look, want := range []struct {
		reads int
		err   error
	}{{1, unread}, {2, nil}, {2, nil}} {
		if err := r.followOthers(t.Context(), &snapshot{}); err != want.err || reads != want.reads {
			t.Errorf("look %d: followOthers() = %v after %d reads of the states, want %v after %d", look+1, err, reads, want.err, want.reads)
		}
	}
}
