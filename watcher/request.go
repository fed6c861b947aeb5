package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// ErrEnded means that a task is at its end: it is not polled any more.
var ErrEnded = errors.New("task has ended")

// An Amendment changes what a task was registered with.
type Amendment struct {
	ExpectedStopAt *time.Time        // nil: as it is; the zero time: not known any more
	Labels         map[string]string // nil: as they are; else all of them
}

// Amend changes a task; [ErrNoTask] where there is none, and a [*FieldError] for
// each fault. With another planned end push.overdue can be told again.
func (w *Watcher) Amend(ctx context.Context, key Key, change Amendment) (TaskView, error) {
	asked := Registration{Key: key, Labels: change.Labels}
	if change.ExpectedStopAt != nil {
		asked.ExpectedStopAt = *change.ExpectedStopAt
	}
	if errs := asked.Validate(); len(errs) > 0 {
		return TaskView{}, errors.Join(errs...)
	}
	for {
		t, err := w.plan().Registry.Task(ctx, key)
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
		err = w.plan().Registry.Amend(ctx, t)
		if errors.Is(err, ErrConflict) && ctx.Err() == nil {
			continue // a poll has changed it meanwhile
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

// PollNow has a task polled as soon as the account's limit allows: [ErrNoTask]
// where there is none, [ErrEnded] where it is at its end.
func (w *Watcher) PollNow(ctx context.Context, key Key) error {
	t, err := w.plan().Registry.Task(ctx, key)
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
	return w.plan().Registry.Hurry(ctx, t)
}

// hurryOnce is how often the same task can be asked for ahead of its turn.
const hurryOnce = time.Second

// hurry has a live task polled next, at most once in [hurryOnce]: whoever asks for
// it again and again cannot use up the quota.
func (a *account) hurry(key Key) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tasks[key]
	if e == nil || e.urgent || e.hurried != never && tickOf(now).since(e.hurried) < hurryOnce {
		return
	}
	e.hurried = tickOf(now)
	a.scheduleOf(key.SDKAppID).hurry(e, now)
	a.notify()
}
