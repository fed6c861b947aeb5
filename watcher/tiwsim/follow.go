package tiwsim

import (
	"context"
	"slices"
	"time"
)

// Truth is the whole scripted life of a task, past and to come, in order of
// time: what an observer is to be measured against. It is nil for a task that is
// unknown or was set by hand.
func (s *Service) Truth(sdkAppID int64, taskID string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[taskKey{sdkAppID, taskID}]
	if t == nil {
		return nil
	}
	return t.story()
}

// Follow calls report for every change of every scripted life when it happens, from
// the beginning of each life on, until ctx ends. report is not called concurrently.
// It is meant for scenarios of some thousand lives, printed for a person.
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

// unreported lists the changes after the first reported[t] of each task, in order, and
// the channel that is closed when the list is out of date.
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

// reportAll reports each change at its time, until the list is out of date (true) or
// ctx ends (false).
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
