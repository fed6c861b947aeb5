package tiwsim

import (
	"context"
	"slices"
	"time"
)

// Truth returns all past and future changes of a scripted task in order, for tests of
// observers. It is nil for a task that is unknown or was set by [Service.Put].
func (s *Service) Truth(sdkAppID int64, taskID string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[taskKey{sdkAppID, taskID}]
	if t == nil {
		return nil
	}
	return t.story()
}

// Follow calls report for each change of each scripted life when it happens, until ctx ends.
// Calls are not concurrent. It is meant for people, with some thousand lives at most.
func (s *Service) Follow(ctx context.Context, report func(Change)) {
	reported := make(map[*task]int)
	changes, changed := s.unreported(reported)
	for {
		var due <-chan time.Time // nil, where nothing is left, blocks forever
		if len(changes) > 0 {
			due = time.After(time.Until(changes[0].At))
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changes, changed = s.unreported(reported)
		case <-due:
			reported[changes[0].task]++
			report(changes[0].Change)
			changes = changes[1:]
		}
	}
}

type pending struct {
	Change
	task *task
}

// unreported returns the changes after the first reported[t] of each task t, in order, and a
// channel that is closed when tasks are added or removed.
func (s *Service) unreported(reported map[*task]int) ([]pending, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []pending
	for _, t := range s.tasks {
		story := t.story()
		for _, c := range story[min(reported[t], len(story)):] {
			changes = append(changes, pending{c, t})
		}
	}
	slices.SortStableFunc(changes, func(a, b pending) int { return a.At.Compare(b.At) })
	return changes, s.tasksChanged
}
