package notify

import (
	"context"
	"time"

	"pushwatch/watcher"
)

// A Delivery is one event on its way to one notifier.
type Delivery struct {
	ID       int64 // rises within the account, in the order of commits; never used again
	Position int64 // its ID, and with each replay a new number from the same count
	Account  string
	Notifier string
	EventID  string
	Type     watcher.EventType
	Subject  string      // of the event
	Task     watcher.Key // zero for an event that belongs to no task
	EventAt  time.Time   // when the event was made
	Since    time.Time   // from when its age counts: EventAt, or the last replay

	Attempts      int       // made so far that count, since the last replay
	Requests      int       // sent so far, those of attempts that do not count too
	NextAttemptAt time.Time // not before; zero: at once

	// Uncounted are the last few attempts that do not count, oldest first: the
	// receiver was not reached for a reason that is not its own, or is down.
	Uncounted []Attempt

	Body []byte // the event as JSON; nil where it has to be read first
}

// State says how far a delivery has come.
type State string

// The states of a delivery. Delivered and Dead are settled; either can be
// replayed.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// An Attempt is one try of a delivery, as its log keeps it.
type Attempt struct {
	At        time.Time
	Status    int    // of the HTTP answer; 0: there was none
	Error     string // why it failed; empty: it did not
	Duration  time.Duration
	Uncounted bool // it does not count against the delivery
}

// An Outcome is the result of an attempt of a delivery. It changes nothing where the
// delivery is settled already, was replayed since (another Position), or, if it stays
// Pending, has as many attempts saved, or more where Attempt does not count.
type Outcome struct {
	ID            int64
	Position      int64
	State         State
	Attempts      int       // that count, as far as its maker knew
	Requests      int       // with this one, likewise
	NextAttemptAt time.Time // of one that stays Pending
	Attempt       Attempt

	// Uncounted, where it is set, replaces what is saved of the attempts that do not
	// count; Attempt is its last, and does not go to the log of the others.
	Uncounted []Attempt

	// Announce, where it is set, is an event that is saved with the outcome,
	// and with its deliveries, unless its id was announced before.
	Announce *watcher.Event
	// Notifier, where it is set, is saved with the outcome, as by
	// [Archive.SaveNotifier].
	Notifier *NotifierRecord
}

// An Outbox keeps the deliveries of one account. Like [watcher.Store] it belongs
// to the account's owner, whose every write is fenced.
type Outbox interface {
	// Subscribe calls f with new and replayed deliveries: after their commit, never
	// before, and in the order of their positions. f must not block. There is one
	// subscriber; subscribe before anything is written.
	Subscribe(f func([]Delivery))

	// Pending reads at most limit unsettled deliveries of a notifier with
	// positions above after, in their order, with their bodies.
	Pending(ctx context.Context, notifier string, after int64, limit int) ([]Delivery, error)

	// Body reads the event of one delivery as JSON.
	Body(ctx context.Context, id int64) ([]byte, error)

	// Settle writes outcomes in their order, all or none, and returns when they
	// are durable. Writing the same outcome twice is harmless, so after an error
	// the call can be repeated, except after [watcher.ErrFenced].
	Settle(ctx context.Context, outcomes []Outcome) error

	// MarkDead makes at most limit pending deliveries of a notifier dead, the first
	// ones first, for a reason that is not an attempt's. It returns how many.
	MarkDead(ctx context.Context, notifier, reason string, limit int) (int, error)

	// Announce writes an event of no task, and its deliveries, unless its id was
	// announced before.
	Announce(ctx context.Context, event watcher.Event) error
}
