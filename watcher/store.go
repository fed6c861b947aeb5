package watcher

import (
	"context"
	"errors"
	"time"
)

// Errors of a [Store].
var (
	// ErrNoTask: no task has that key.
	ErrNoTask = errors.New("no such task")
	// ErrConflict: the task has changed since it was read. Nothing was saved: read it again.
	ErrConflict = errors.New("task was changed by another writer")
	// ErrFenced: the account has another owner. Nothing was saved: stop working for it.
	ErrFenced = errors.New("account has another owner")
)

// A Change is the next value of a task and the events that report the difference.
type Change struct {
	Task   Task    // Version is one above the saved one
	Events []Event // numbers follow the saved task's Sequence; may be empty
}

// A Store saves the tasks and events of one account for its owner. Every write first checks
// that the account has no newer owner, and else fails with [ErrFenced].
type Store interface {
	// Live calls yield for each live task, in any order, with the times of the last
	// checkpoint. It returns the first error of yield.
	Live(ctx context.Context, yield func(Task) error) error

	// Task reads one task; [ErrNoTask] where there is none.
	Task(ctx context.Context, key Key) (Task, error)

	// Save saves a task, its events, and a delivery for each notifier of each event, in one
	// transaction. It returns when they are durable. Concurrent calls may share a
	// transaction; [ErrConflict] fails only the call concerned.
	//
	// After any error but ErrConflict and ErrFenced the outcome is unknown. The caller
	// must read the task again and not just repeat the change.
	Save(ctx context.Context, change Change) error

	// Announce saves an event of no task, and its deliveries, unless an event with its id
	// is saved already.
	Announce(ctx context.Context, event Event) error

	// Blind returns the open outages: announced by [WatcherBlind] and not yet ended by
	// [WatcherSighted].
	Blind(ctx context.Context) ([]Blindness, error)

	// Learned returns what SaveLearned saved last; nil: nothing yet.
	Learned(ctx context.Context) ([]byte, error)

	// SaveLearned saves the account's learned hazards, as opaque text.
	SaveLearned(ctx context.Context, text []byte) error

	// SaveCheckpoint replaces the account's checkpoint. Live applies it to the tasks.
	SaveCheckpoint(ctx context.Context, c *Checkpoint) error
}

// A Blindness is an open outage: a watcher.blind that no watcher.sighted has followed.
type Blindness struct {
	SDKAppID int64 // 0: the whole account
	Since    time.Time
	Tasks    int
}

// A Registry saves the registrations of all accounts. Any process may use it, whether it
// owns the account or not.
type Registry interface {
	// Register saves the tasks that are not watched yet, all or none, in one transaction.
	// It returns every task as saved, in the order asked for. A removed task is
	// registered again; an ended one only with reopen. A live task of another account
	// moves to the account asked for, with its state. Events go on counting from the
	// task's Sequence.
	Register(ctx context.Context, tasks []Task, reopen bool) ([]RegisteredTask, error)

	// Rehome moves live tasks of an account that no process's settings name, to the
	// accounts of their applications. It returns some of them as saved, with the name of
	// the former account; none when there are no more. accounts are those of this
	// process's settings, with their applications.
	Rehome(ctx context.Context, accounts map[string][]int64) (from string, tasks []Task, err error)

	// Task reads one task; [ErrNoTask] where there is none.
	Task(ctx context.Context, key Key) (Task, error)

	// Tasks reads a page of tasks.
	Tasks(ctx context.Context, query TaskQuery) ([]Task, error)

	// Amend saves a task's Labels, ExpectedStopAt and Memory. [ErrConflict]: its Version
	// is not one above the saved one.
	Amend(ctx context.Context, task Task) error

	// Remove stops watching a task and hides it; [ErrNoTask] where there is none. Its
	// events stay.
	Remove(ctx context.Context, key Key) error

	// Hurry asks the process that owns the task's account, if that is another, to poll the
	// task soon. See the engine's Notice.
	Hurry(ctx context.Context, task Task) error
}

// A RegisteredTask is a task that [Registry.Register] was asked for.
type RegisteredTask struct {
	Task
	Created bool // this call began its watching, in this account
}

// A TaskQuery selects tasks. Zero fields select all.
type TaskQuery struct {
	Account  string
	States   []State // one of them must match
	Blind    bool    // only tasks blind by themselves
	SDKAppID int64
	Contains string            // a part of the task id
	Labels   map[string]string // all must match exactly
	Newest   bool              // newest registration first; else by key
	After    TaskMark          // only tasks after it in that order; zero: from the beginning
	Limit    int               // at most this many; 0: 100
}

// A TaskMark is the place of a task in the order of a [TaskQuery].
type TaskMark struct {
	Key
	RegisteredAt time.Time // used only with Newest
}

// A Position is how far a reader has read the saved events: the number of the last event
// read, by shard. A shard is an account. Numbers rise in the order of commits, so that no
// event is ever saved at or below a position. The zero Position is before all events.
type Position map[int64]int64

// ErrPosition means that a position lies past the saved events: it is from another store, or
// this one has lost its last events.
var ErrPosition = errors.New("no position in these events")

// An EventQuery selects saved events. Zero fields select all.
type EventQuery struct {
	After   Position    // only events past it
	Types   []EventType // one of them must match
	Subject string      // must match exactly
	Limit   int         // at most this many; 0: 100
	Newest  bool        // select the newest instead of the oldest
}

// A SavedEvent is an event as it was saved.
type SavedEvent struct {
	Shard  int64 // names its account
	Number int64 // its number within the shard
	Type   EventType
	Body   []byte // the event as JSON, byte for byte as delivered
}

// An EventPage is what a query selects.
type EventPage struct {
	// Events are ordered by number within an account, and else by time of observation.
	Events []SavedEvent
	// Next is where the next page begins. After a query for the newest it lies past all
	// saved events.
	Next Position
}

// A RecentQuery selects saved events, the newest first, for people to look at. Zero fields
// select all. A reader that must not miss an event uses an [EventQuery].
type RecentQuery struct {
	Types  []EventType // one of them must match
	Keys   []Key       // only events of these tasks
	Since  time.Time   // observed then or later
	Before EventMark   // only events before it; zero: from the newest
	Limit  int         // at most this many; 0: 100
}

// An EventMark is the place of an event in the order of time.
type EventMark struct {
	At            time.Time
	Shard, Number int64 // order those of the same time
}

// A RecentEvent is a saved event with the time of its observation.
type RecentEvent struct {
	SavedEvent
	At time.Time
}

// Mark returns the event's place.
func (e RecentEvent) Mark() EventMark { return EventMark{e.At, e.Shard, e.Number} }
