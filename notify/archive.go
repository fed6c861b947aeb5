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
	// ErrNoAccount: no process owns an account at the moment, so nothing can be sent.
	ErrNoAccount = errors.New("no process owns an account")
)

// An Archive stores the deliveries of all accounts and the records of the notifiers.
// Any process may use it, whether it owns an account or not.
type Archive interface {
	// Deliveries reads a page of deliveries: those of one account newest first,
	// account by account.
	Deliveries(ctx context.Context, query Query) ([]Record, error)

	// Delivery reads one delivery with its attempts, oldest first;
	// [ErrNoDelivery] where there is none.
	Delivery(ctx context.Context, id DeliveryID) (Record, []Attempt, error)

	// Attempts reads the attempts of some deliveries, oldest first for each. A
	// delivery that does not exist or had no attempt yet has no entry.
	Attempts(ctx context.Context, ids []DeliveryID) (map[DeliveryID][]Attempt, error)

	// Ahead maps each pending delivery that waits behind others of the same task and
	// notifier to the first of these.
	Ahead(ctx context.Context, ids []DeliveryID) (map[DeliveryID]DeliveryID, error)

	// Replay makes settled deliveries pending again, in steps of bounded size, and
	// returns how many. Their attempts and age restart from zero; their events stay the
	// same. The accounts' owners get them through their outboxes.
	Replay(ctx context.Context, which Selection) (int, error)

	// Announce writes an event that belongs to no task, with its deliveries, under any
	// account that a process owns; that process delivers it. [ErrNoAccount] if none is owned.
	Announce(ctx context.Context, event watcher.Event) error

	// Tallies counts the deliveries of each notifier that has any.
	Tallies(ctx context.Context) (map[string]Tally, error)

	// NotifierRecords reads all saved records.
	NotifierRecords(ctx context.Context) ([]NotifierRecord, error)

	// SaveNotifier replaces the record that has the version before; 0: there is none
	// yet. [watcher.ErrConflict] if the saved version is another.
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

// A Record is a delivery as the archive stores it.
type Record struct {
	ID            DeliveryID
	EventID       string
	Type          watcher.EventType
	Subject       string
	Notifier      string
	State         State
	Attempts      int       // the counted ones, since it was made or last replayed
	NextAttemptAt time.Time // zero: at once, or never again
	LastError     string    // of the last attempt; empty if it succeeded
	WaitsFor      Wait      // why a pending one is not being sent; set by [Dispatcher]
	CreatedAt     time.Time
	SettledAt     time.Time // zero while it is pending
}

// A Query selects deliveries. Zero fields select all.
type Query struct {
	State    State
	Notifier string
	EventID  string
	Task     watcher.Key // whose events
	After    DeliveryID  // the last of the previous page; zero: the first page
	Limit    int         // at most this many; 0: 100
}

// A Selection says which deliveries to replay: one by its ID, whether delivered or
// dead, or the dead ones of a notifier.
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
	Oldest  time.Time // since when the oldest pending one waits; zero: none is pending
}

// waiting returns how long the oldest pending delivery has waited; 0: none is pending.
func (t Tally) waiting(now time.Time) time.Duration {
	if t.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(t.Oldest)) // negative if the wall clock was set back
}
