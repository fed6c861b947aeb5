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

// Follow calls tell for every change of every scripted life when it happens, from
// the beginning of each life on, until ctx ends. tell is not called concurrently.
// It is made for scenarios of some thousand lives, to be told to a person.
func (s *Service) Follow(ctx context.Context, tell func(Change)) {
	told := make(map[*task]int)
	for {
		changes, moved := s.untold(told)
		if !tellAll(ctx, changes, moved, func(c pending) {
			told[c.task]++
			tell(c.Change)
		}) {
			return
		}
	}
}

type pending struct {
	Change
	task *task
}

// untold lists the changes after the first told[t] of each task, in order, and
// the channel that is closed when the list is out of date.
func (s *Service) untold(told map[*task]int) ([]pending, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []pending
	for _, t := range s.tasks {
		story := t.story()
		for _, c := range story[min(told[t], len(story)):] {
			changes = append(changes, pending{c, t})
		}
	}
	slices.SortStableFunc(changes, func(a, b pending) int { return a.At.Compare(b.At) })
	return changes, s.moved
}

// tellAll tells each change at its time, until the list is out of date (true) or
// ctx ends (false).
func tellAll(ctx context.Context, changes []pending, moved <-chan struct{}, tell func(pending)) bool {
	for _, c := range changes {
		timer := time.NewTimer(time.Until(c.At))
		select {
		case <-timer.C:
		case <-moved:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		tell(c)
	}
	select {
	case <-moved:
		return true
	case <-ctx.Done():
		return false
	}
}
