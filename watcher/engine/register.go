package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// A Registered is a task that [Watcher.Register] was asked for.
type Registered struct {
	TaskView
	Created bool // this call began its watching
}

// Register registers pushes: all, or none if one is invalid; the error then joins a
// [*watcher.FieldError] for each fault. It returns the tasks as saved, in the order asked for.
// A task that is already registered does not change; with reopen, one that has ended is
// watched again.
//
// An SDKAppID of 0 means the only configured application.
func (w *Watcher) Register(ctx context.Context, wanted []watcher.Registration, reopen bool) ([]Registered, error) {
	tasks, err := w.plan().tasks(wanted, time.Now())
	if err != nil {
		return nil, err
	}
	saved, err := w.registry.Register(ctx, tasks, reopen)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	all := make([]Registered, len(saved))
	for i, t := range saved {
		if t.Created {
			w.adopt(t.Task)
		}
		all[i] = Registered{w.view(t.Task), t.Created}
	}
	return all, nil
}

// tasks returns the tasks to register, or all faults of the registrations.
func (p *plan) tasks(wanted []watcher.Registration, now time.Time) ([]watcher.Task, error) {
	tasks := make([]watcher.Task, len(wanted))
	var faults []error
	for i, r := range wanted {
		if r.SDKAppID == 0 && len(p.byApp) == 1 {
			for app := range p.byApp {
				r.SDKAppID = app
			}
		}
		account, ok := p.byApp[r.SDKAppID]
		errs := r.Validate()
		if !ok {
			errs = slices.DeleteFunc(errs, func(err error) bool { return err.(*watcher.FieldError).Field == "sdk_app_id" })
			errs = append(errs, &watcher.FieldError{Field: "sdk_app_id", Value: r.SDKAppID, Want: "one of the configured applications: " + p.applications()})
		}
		for _, err := range errs {
			if fault := err.(*watcher.FieldError); len(wanted) > 1 {
				fault.Field = fmt.Sprintf("tasks[%d].%s", i, fault.Field)
			}
		}
		faults = append(faults, errs...)
		tasks[i] = watcher.Task{
			Key: r.Key, Account: account.Name, State: watcher.Registered, Labels: r.Labels,
			ExpectedStopAt: r.ExpectedStopAt, RegisteredAt: now, Version: 1,
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return tasks, nil
}

// A TaskView is a task with what only its account's engine knows.
type TaskView struct {
	watcher.Task
	NextPollAt time.Time          // estimate; zero: ended, or owned by another process
	PollError  *watcher.PollError // why the latest polls failed; nil: they did not, or another process owns it and it is not blind
}

// view adds to a saved task what its engine knows: for example the latest poll, which is saved
// only with a change.
func (w *Watcher) view(t watcher.Task) TaskView {
	view := TaskView{Task: t}
	if t.Memory.Blind != nil {
		view.PollError = &t.Memory.Blind.Error
	}
	if a := w.owned(t.Account); a != nil && !t.State.Ended() {
		a.with(func(s *state) { s.view(&view, time.Now()) })
	}
	return view
}

func (s *state) view(view *TaskView, now time.Time) {
	e := s.tasks[view.Key]
	if e == nil {
		return
	}
	if int64(e.version) == view.Version {
		view.LastObservedAt, view.LastPolledAt = e.observed.Time(now), e.Asked.Time(now)
	}
	view.NextPollAt = s.picker.scheduleOf(e.Key.SDKAppID).Expected(&e.Entry, now)
	f, failing := s.outages.Failure(e.Key)
	if !failing {
		view.PollError = nil
		return
	}
	view.LastPolledAt = later(view.LastPolledAt, f.Polled)
	if f.Cause != nil {
		view.PollError = &watcher.PollError{Code: f.Cause.Code, Message: f.Cause.Message, Since: f.Since}
	}
}

// Task returns one task; [watcher.ErrNoTask] where there is none.
func (w *Watcher) Task(ctx context.Context, key watcher.Key) (TaskView, error) {
	t, err := w.registry.Task(ctx, key)
	if err != nil {
		return TaskView{}, err
	}
	return w.view(t), nil
}

// Tasks returns a page of tasks.
func (w *Watcher) Tasks(ctx context.Context, query watcher.TaskQuery) ([]TaskView, error) {
	tasks, err := w.registry.Tasks(ctx, query)
	if err != nil {
		return nil, err
	}
	views := make([]TaskView, len(tasks))
	for i, t := range tasks {
		views[i] = w.view(t)
	}
	return views, nil
}

// Remove stops watching a task and hides it; [watcher.ErrNoTask] where there is none.
func (w *Watcher) Remove(ctx context.Context, key watcher.Key) error {
	t, err := w.registry.Task(ctx, key)
	if err != nil {
		return err
	}
	if err := w.registry.Remove(ctx, key); err != nil {
		return err
	}
	if a := w.owned(t.Account); a != nil {
		w.forget(ctx, a, key)
	}
	return nil
}

// forget drops a removed task from its engine. Another request may have registered it
// again, so it is read once more. If it is removed again right then, it is polled until its
// next change, which does no harm; a live task that is not polled would.
func (w *Watcher) forget(ctx context.Context, a *account, key watcher.Key) {
	a.drop(key)
	if t, err := w.registry.Task(ctx, key); err == nil && t.Account == a.Name && !t.State.Ended() {
		a.adopt(t)
	}
}

// ErrEnded means that the task has ended and is not polled.
var ErrEnded = errors.New("task has ended")

// An Amendment changes the registration of a task.
type Amendment struct {
	ExpectedStopAt *time.Time        // nil: no change; the zero time: not known
	Labels         map[string]string // nil: no change; else replaces all labels
}

// Amend changes a task; [watcher.ErrNoTask] where there is none. The error joins a
// [*watcher.FieldError] for each fault. A new ExpectedStopAt allows another push.overdue.
func (w *Watcher) Amend(ctx context.Context, key watcher.Key, change Amendment) (TaskView, error) {
	asked := watcher.Registration{Key: key, Labels: change.Labels}
	if change.ExpectedStopAt != nil {
		asked.ExpectedStopAt = *change.ExpectedStopAt
	}
	if errs := asked.Validate(); len(errs) > 0 {
		return TaskView{}, errors.Join(errs...)
	}
	for {
		t, err := w.registry.Task(ctx, key)
		if err != nil {
			return TaskView{}, err
		}
		if change.ExpectedStopAt != nil && !t.ExpectedStopAt.Equal(*change.ExpectedStopAt) {
			t.ExpectedStopAt = *change.ExpectedStopAt
			t.Memory.Overdue = false
		}
		if change.Labels != nil {
			t.Labels = maps.Clone(change.Labels)
		}
		t.Version++
		err = w.registry.Amend(ctx, t)
		if errors.Is(err, watcher.ErrConflict) && ctx.Err() == nil {
			continue // a poll has changed it since
		}
		if err != nil {
			return TaskView{}, fmt.Errorf("amend: %w", err)
		}
		if a := w.owned(t.Account); a != nil && !t.State.Ended() {
			a.adopt(t)
		}
		return w.view(t), nil
	}
}

// PollNow polls a task as soon as the account's limit allows; [watcher.ErrNoTask] where there
// is none, [ErrEnded] if it has ended.
func (w *Watcher) PollNow(ctx context.Context, key watcher.Key) error {
	t, err := w.registry.Task(ctx, key)
	if err != nil {
		return err
	}
	if t.State.Ended() {
		return ErrEnded
	}
	if a := w.owned(t.Account); a != nil {
		a.hurry(key)
		return nil
	}
	return w.registry.Hurry(ctx, t)
}

// Notice applies the changes that other processes made to tasks of an account. It reports
// whether this process owns the account.
func (w *Watcher) Notice(account string, notes []watcher.Note) bool {
	a := w.owned(account)
	if a == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	for _, n := range notes {
		switch {
		case n.Task == nil:
			w.forget(ctx, a, n.Key)
		case n.Task.State.Ended():
		default:
			a.adopt(*n.Task)
			if n.Urgent {
				a.hurry(n.Key)
			}
		}
	}
	return true
}

// Rehome moves the live tasks of accounts that no process's settings name, for example after
// a rename, to the accounts of their applications. Tasks of no configured application stay.
func (w *Watcher) Rehome(ctx context.Context) error {
	p := w.plan()
	accounts := make(map[string][]int64)
	for _, a := range p.Accounts {
		accounts[a.Name] = a.SDKAppIDs
	}
	moved := make(map[string]int)
	defer func() {
		for from, n := range moved {
			w.log.Warn("account is not in the settings: its tasks moved", zap.String("account", from), zap.Int("tasks", n),
				zap.String("hint", "the accounts of their applications watch them now"))
		}
	}()
	for {
		from, tasks, err := w.registry.Rehome(ctx, accounts)
		if err != nil || len(tasks) == 0 {
			return err
		}
		moved[from] += len(tasks)
		for _, t := range tasks {
			w.adopt(t)
		}
	}
}

// adopt adds a task to its account's engine, if this process owns that, and removes it from
// others.
func (w *Watcher) adopt(t watcher.Task) {
	if t.Version > 1 { // it may have been in another account
		for _, a := range w.watched() {
			if a.Name != t.Account {
				a.drop(t.Key)
			}
		}
	}
	if a := w.owned(t.Account); a != nil {
		a.adopt(t)
	}
}
