package tiwsim

import (
	"maps"
	"time"
)

// AccountStats is what one account has sent so far.
type AccountStats struct {
	// Requests counts all arrivals, refused ones too.
	Requests int
	// Results counts them by what they got: "ok", the code of the API error, or
	// the kind of the fault that spoilt the answer.
	Results map[string]int
	// MaxInSecond is the largest number of arrivals, refused ones too, in any
	// sliding second since the start. It is exact up to 65,536.
	MaxInSecond int
}

// TaskStats is how one task has been polled so far. Only requests that were
// answered from the task's state count, not those refused or spoilt by an
// injected API error.
type TaskStats struct {
	Polls int
	// Last is when the last poll arrived; zero if there was none.
	Last time.Time
	// LongestGap is the longest time between two polls in a row.
	LongestGap time.Duration
}

func (t *TaskStats) observe(now time.Time) {
	if t.Polls > 0 {
		t.LongestGap = max(t.LongestGap, now.Sub(t.Last))
	}
	t.Polls++
	t.Last = now
}

// Stats are the counters by name of account. Requests whose secret id is of no
// account are under "".
func (s *Service) Stats() map[string]AccountStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]AccountStats, len(s.bySecretID)+1)
	enter := func(a *account) {
		stats := a.stats
		stats.Results = maps.Clone(stats.Results)
		all[a.Name] = stats
	}
	enter(s.unknown)
	for _, a := range s.bySecretID {
		enter(a)
	}
	return all
}

// TaskStats says how a task was polled; it is zero for an unknown one.
func (s *Service) TaskStats(sdkAppID int64, taskID string) TaskStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[taskKey{sdkAppID, taskID}]; t != nil {
		return t.stats
	}
	return TaskStats{}
}
