package tiwsim

import (
	"maps"
	"slices"
	"time"
)

// AccountStats counts the requests of one account.
type AccountStats struct {
	Requests    int            // all arrivals, also refused ones
	Results     map[string]int // by result: "ok", the code of the API error, or the kind of the fault
	MaxInSecond int            // most arrivals in any sliding second, exact up to 65,536
}

// TaskStats counts the polls of one task, without those refused or answered with an injected API
// error.
type TaskStats struct {
	Polls      int
	Last       time.Time     // zero: none
	LongestGap time.Duration // between two polls in a row
}

func (t *TaskStats) observe(now time.Time) {
	if t.Polls > 0 {
		t.LongestGap = max(t.LongestGap, now.Sub(t.Last))
	}
	t.Polls++
	t.Last = now
}

// Stats returns the counters by name of account; "": of requests with an unknown secret id.
func (s *Service) Stats() map[string]AccountStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]AccountStats, len(s.bySecretID)+1)
	for _, a := range slices.AppendSeq([]*account{s.unknown}, maps.Values(s.bySecretID)) {
		stats := a.stats
		stats.Results = maps.Clone(stats.Results)
		all[a.Name] = stats
	}
	return all
}

// TaskStats returns the counters of a task; zero: unknown.
func (s *Service) TaskStats(sdkAppID int64, taskID string) TaskStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[taskKey{sdkAppID, taskID}]; t != nil {
		return t.stats
	}
	return TaskStats{}
}
