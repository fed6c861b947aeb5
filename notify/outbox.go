package notify

import (
	"context"
	"time"

	"pushwatch/watcher"
)

// A Delivery is one event on its way to one notifier.
type Delivery struct {
	ID       int64 // ascending within the account in the order of commits; never reused
	Position int64 // its ID; each replay gives it a new number from the same sequence
	Account  string
	Notifier string
	EventID  string
	Type     watcher.EventType
	Subject  string      // of the event
	Task     watcher.Key // zero for an event that belongs to no task
	EventAt  time.Time   // when the event was made
	Since    time.Time   // when its age starts: EventAt, or the last replay

	Attempts      int       // counted ones so far, since the last replay
	Requests      int       // requests sent so far, including those of uncounted attempts
	NextAttemptAt time.Time // not before; zero: at once

	// Uncounted are the last few attempts that do not count, oldest first: the receiver
	// was down, or was not reached for a reason other than its own.
	Uncounted []Attempt

	Body []byte // the event as JSON; nil: it must be read first
}

// State is the state of a delivery.
type State string

// The states of a delivery. Delivered and Dead are settled; both can be replayed.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// An Attempt is one try of a delivery, as its log shows it.
type Attempt struct {
	At        time.Time
	Status    int    // of the HTTP answer; 0: none
	Error     string // why it failed; empty: it succeeded
	Duration  time.Duration
	Uncounted bool // it does not count against the delivery
}

// An Outcome is the result of an attempt. It changes nothing if the delivery is settled
// already, was replayed since (another Position), or, where State is Pending, has as many
// counted attempts saved already (more, if this one is uncounted).
type Outcome struct {
	ID            int64
	Position      int64
	State         State
	Attempts      int       // counted ones so far
	Requests      int       // requests sent so far
	NextAttemptAt time.Time // where State is Pending
	Attempt       Attempt

	// Uncounted, if set, replaces the saved uncounted attempts. Its last is Attempt,
	// which is then not added to the log of counted ones.
	Uncounted []Attempt

	// Announce, if set, is an event that is saved with the outcome, together with its
	// deliveries, unless its id was announced before.
	Announce *watcher.Event
	// Notifier, if set, is saved with the outcome, as [Archive.SaveNotifier] does.
	Notifier *NotifierRecord
}

// An Outbox stores the deliveries of one account. Like [watcher.Store] it belongs to the
// account's owner, and every write is fenced.
type Outbox interface {
	// Subscribe makes the outbox call f with new and replayed deliveries, after their
	// commit and in the order of their positions. f must not block. There is one
	// subscriber; subscribe before anything is written.
	Subscribe(f func([]Delivery))

	// Pending reads at most limit pending deliveries of a notifier with positions above
	// after, in order, with their bodies.
	Pending(ctx context.Context, notifier string, after int64, limit int) ([]Delivery, error)

	// Body reads the event of one delivery as JSON.
	Body(ctx context.Context, id int64) ([]byte, error)

	// Settle writes outcomes in order, all or none, and returns when they are durable.
	// Writing an outcome twice is harmless, so the call can be repeated after any error
	// but [watcher.ErrFenced].
	Settle(ctx context.Context, outcomes []Outcome) error

	// MarkDead marks at most limit pending deliveries of a notifier as dead, oldest
	// first, for a reason other than an attempt. It returns how many.
	MarkDead(ctx context.Context, notifier, reason string, limit int) (int, error)

	// Announce writes an event that belongs to no task, with its deliveries, unless its
	// id was announced before.
	Announce(ctx context.Context, event watcher.Event) error
}
