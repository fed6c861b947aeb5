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
	for {
		changes, changed := s.unreported(reported)
		if !reportAll(ctx, changes, changed, func(c pending) {
			reported[c.task]++
			report(c.Change)
		}) {
			return
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

// reportAll reports each change at its time, until changed is closed (true) or ctx ends (false).
func reportAll(ctx context.Context, changes []pending, changed <-chan struct{}, report func(pending)) bool {
	for _, c := range changes {
		timer := time.NewTimer(time.Until(c.At))
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		report(c)
	}
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}
