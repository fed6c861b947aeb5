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
	// ErrConflict: the task was changed by somebody else since it was read.
	// Nothing of the change was saved: read the task again.
	ErrConflict = errors.New("task changed meanwhile")
	// ErrFenced: the account has another owner now. Nothing was saved, and
	// nothing will be: stop working for the account.
	ErrFenced = errors.New("account has another owner")
)

// A Change is what one observation did to one task: its next value, and the
// events that tell of it.
type Change struct {
	Task   Task    // Version is one above the saved one's
	Events []Event // numbered on from the saved task's Sequence; may be empty
}

// A Store keeps the tasks of one account, and the events that tell of them. It
// belongs to the account's owner: every write first proves that there is no
// newer owner, and fails with [ErrFenced] where there is.
type Store interface {
	// Live calls yield once for each task of the account that has not ended, in
	// no order, with the times of the last checkpoint. It stops at the first error of
	// yield and returns it.
	Live(ctx context.Context, yield func(Task) error) error

	// Task reads one task; [ErrNoTask] where there is none.
	Task(ctx context.Context, key Key) (Task, error)

	// Save writes a change: the task, its events, and a delivery for each of an
	// event's notifiers, all in one transaction or not at all. It returns when
	// they are durable. Many calls at once may share a transaction; one call's
	// failure for [ErrConflict] concerns no other.
	//
	// After any error but ErrConflict and ErrFenced the outcome is unknown: it
	// may have been saved. The caller reads the task again, and never repeats
	// the change blindly.
	Save(ctx context.Context, change Change) error

	// Announce writes an event that belongs to no task, and its deliveries. An
	// event whose id was announced before is not written again: that is no error.
	Announce(ctx context.Context, event Event) error

	// Blind returns what was announced with [WatcherBlind] and has not been with
	// [WatcherSighted] since.
	Blind(ctx context.Context) ([]Blindness, error)

	// Learned reads what SaveLearned has written last; nil where it never was.
	Learned(ctx context.Context) ([]byte, error)

	// SaveLearned keeps what the account's pushes have taught, as opaque text.
	SaveLearned(ctx context.Context, text []byte) error

	// SaveCheckpoint writes when the account's live tasks were last polled and observed,
	// in the place of the checkpoint before. Live adds its times to those of the tasks.
	SaveCheckpoint(ctx context.Context, c *Checkpoint) error
}

// A Blindness is a watcher.blind that no watcher.sighted has followed, as the
// store remembers it.
type Blindness struct {
	SDKAppID int64 // 0: the whole account
	Since    time.Time
	Tasks    int
}

// A Registry keeps the registrations of all accounts. Any process may use it,
// the account's owner or not.
type Registry interface {
	// Register saves the tasks that are not watched yet, all or none, in one transaction.
	// It returns every task as saved, in the order asked for. A removed task is
	// registered again; an ended one only with reopen. A live task of another account
	// moves to the account asked for, with its state. Events go on counting from the
	// task's Sequence.
	Register(ctx context.Context, tasks []Task, reopen bool) ([]RegisteredTask, error)

	// Rehome gives live tasks of an account that no process's settings name to the
	// accounts of their applications: some of them, which it returns as they stand
	// now, with the name of the former account. It returns none where there are no
	// more. The accounts that this process's settings name are given, with their
	// applications.
	Rehome(ctx context.Context, accounts map[string][]int64) (from string, tasks []Task, err error)

	// Task reads one task; [ErrNoTask] where there is none.
	Task(ctx context.Context, key Key) (Task, error)

	// Tasks reads a page of tasks, in the order that the query says.
	Tasks(ctx context.Context, query TaskQuery) ([]Task, error)

	// Amend writes a task's Labels, ExpectedStopAt and Memory. Its Version is one
	// above the saved one's; [ErrConflict] where that is not so.
	Amend(ctx context.Context, task Task) error

	// Remove ends the watching of a task and hides it; [ErrNoTask] where there
	// is none. Its events stay.
	Remove(ctx context.Context, key Key) error

	// Hurry has a task polled soon by the process that owns its account, where
	// that is another: see the engine's Notice.
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
	Blind    bool    // only those that are blind by themselves
	SDKAppID int64
	Contains string            // stands somewhere in the task id
	Labels   map[string]string // all must match exactly
	Newest   bool              // the newest registration first; else ordered by key
	After    TaskMark          // only what comes after it in that order; zero: from the beginning
	Limit    int               // at most this many; 0: 100
}

// A TaskMark is the place of a task in the order of a [TaskQuery].
type TaskMark struct {
	Key
	RegisteredAt time.Time // read only where the newest come first
}
