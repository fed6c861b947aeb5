package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pushwatch/watcher"
)

// Errors of an [Archive].
var (
	// ErrNoDelivery: no delivery has that id.
	ErrNoDelivery = errors.New("no such delivery")
	// ErrNoAccount: no process owns an account at the moment, and so nothing can be
	// sent.
	ErrNoAccount = errors.New("no process owns an account")
)

// An Archive keeps the deliveries of all accounts, and the records of the notifiers.
// Any process may use it, an account's owner or not.
type Archive interface {
	// Deliveries reads a page of deliveries: those of one account newest first,
	// account by account.
	Deliveries(ctx context.Context, query Query) ([]Record, error)

	// Delivery reads one delivery with its attempts, oldest first;
	// [ErrNoDelivery] where there is none.
	Delivery(ctx context.Context, id DeliveryID) (Record, []Attempt, error)

	// Attempts reads those of some deliveries, of each the oldest first. It has no
	// entry for a delivery that is not there or had none yet.
	Attempts(ctx context.Context, ids []DeliveryID) (map[DeliveryID][]Attempt, error)

	// Ahead finds the pending ones among some deliveries that wait for another of the
	// same task and notifier: for each, the first of these.
	Ahead(ctx context.Context, ids []DeliveryID) (map[DeliveryID]DeliveryID, error)

	// Replay makes settled deliveries pending again, in steps of bounded size,
	// and returns how many. Their attempts and their age start again from zero; their
	// events stay as they are. The accounts' owners get them through their outboxes.
	Replay(ctx context.Context, which Selection) (int, error)

	// Announce writes an event of no task, and its deliveries, under any account that
	// some process owns; that process delivers it. [ErrNoAccount] where none is owned.
	Announce(ctx context.Context, event watcher.Event) error

	// Tallies counts the deliveries of each notifier that has any.
	Tallies(ctx context.Context) (map[string]Tally, error)

	// NotifierRecords reads the records that were saved.
	NotifierRecords(ctx context.Context) ([]NotifierRecord, error)

	// SaveNotifier saves a record over the one with the version before; 0: over
	// none. [watcher.ErrConflict] where another is saved.
	SaveNotifier(ctx context.Context, r NotifierRecord, before int64) error
}

// A DeliveryID names a delivery among those of all accounts.
type DeliveryID struct {
	Shard int64 // the account in the store
	ID    int64 // see [Delivery]
}

// String writes the id as it is shown: "dlv_2_17".
func (id DeliveryID) String() string { return fmt.Sprintf("dlv_%d_%d", id.Shard, id.ID) }

// ParseDeliveryID reads what [DeliveryID.String] writes, and nothing else.
func ParseDeliveryID(s string) (DeliveryID, error) {
	var id DeliveryID
	if _, err := fmt.Sscanf(s, "dlv_%d_%d", &id.Shard, &id.ID); err != nil || id.String() != s {
		return DeliveryID{}, fmt.Errorf("%w: %q is no id of a delivery, such as dlv_1_42", ErrNoDelivery, s)
	}
	return id, nil
}

// A Record is a delivery as the archive has it.
type Record struct {
	ID            DeliveryID
	EventID       string
	Type          watcher.EventType
	Subject       string
	Notifier      string
	State         State
	Attempts      int       // that count, since it was made or last replayed
	NextAttemptAt time.Time // zero: at once, or never again
	LastError     string    // of the last attempt; empty where it did not fail
	WaitsFor      string    // why a pending one is not on its way, in words; set by [Dispatcher]
	CreatedAt     time.Time
	SettledAt     time.Time // zero while it is pending
}

// A Query selects deliveries. Zero fields select all.
type Query struct {
	State    State
	Notifier string
	EventID  string
	Task     watcher.Key // of whose events
	After    DeliveryID  // the last of the page before; zero: the first page
	Limit    int         // at most this many; 0: 100
}

// A Selection says which deliveries to replay: one by its ID, settled in either
// way, or the dead ones of a notifier.
type Selection struct {
	ID DeliveryID // zero: by the fields below

	Notifier string
	Since    time.Time // created then or later; zero: ever
	Until    time.Time // created before; zero: until now
}

// A Tally counts the deliveries of a notifier.
type Tally struct {
	Pending int
	Dead    int
	Oldest  time.Time // since when the oldest pending one waits; zero: none does
}

// waiting is for how long the oldest pending delivery has waited; 0: none does.
func (t Tally) waiting(now time.Time) time.Duration {
	if t.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(t.Oldest)) // less where the wall clock was set back
}
