package engine

import (
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Status returns the accounts that this process watches, by name.
func (w *Watcher) Status() []watcher.AccountStatus {
	now := time.Now()
	var all []watcher.AccountStatus
	for _, a := range w.watched() {
		all = append(all, a.status(now))
	}
	return all
}

func (a *account) status(now time.Time) (status watcher.AccountStatus) {
	a.with(func(s *state) { status = s.status(now) })
	status.Name, status.Limit, status.MaxStaleness = a.Name, a.RequestsPerSecond, a.plan.MaxStaleness
	return status
}

// status returns the part of the account's status that depends on the state.
func (s *state) status(now time.Time) watcher.AccountStatus {
	status := watcher.AccountStatus{
		Granted: s.limiter.Rate(), Used: s.sent.rate(now), Tasks: maps.Clone(s.tally.states), Unobserved: s.tally.unobserved,
		Staleness: s.tally.stalest(now), LastObserved: s.tally.newestOfAll().Time(now),
		Round: s.round(), PromisedStaleness: s.picker.shared.MaxWait(), Overloaded: !s.overloaded.Since().IsZero(),
		Starts: s.lateness.Starts(), Stops: s.lateness.Stops(), StoreFailed: s.storeFailed(), BlindPushes: s.outages.BlindPushes(),
	}
	status.Outages = s.outages.Outages()
	for i := range status.Outages {
		o := &status.Outages[i]
		o.LastObserved = status.LastObserved
		if o.SDKAppID != 0 {
			o.LastObserved = s.tally.newestOf(o.SDKAppID).Time(now)
		}
	}
	return status
}

// storeFailed returns since when the store cannot be written, or read to write to it.
func (s *state) storeFailed() time.Time {
	since := s.unwritable.Since()
	if unreadable := s.unreadable.Since(); since.IsZero() || !unreadable.IsZero() && unreadable.Before(since) {
		since = unreadable
	}
	return since
}

// Ready returns an error if observations cannot be saved.
func (w *Watcher) Ready(now time.Time) error {
	for _, a := range w.watched() {
		var unwritable, unreadable time.Time
		a.with(func(s *state) { unwritable, unreadable = s.unwritable.Since(), s.unreadable.Since() })
		if !unwritable.IsZero() {
			return fmt.Errorf("account %s: the database has not taken writes for %s", a.Name, now.Sub(unwritable).Round(time.Second))
		}
		if !unreadable.IsZero() {
			return fmt.Errorf("account %s: the database could not be read for %s", a.Name, now.Sub(unreadable).Round(time.Second))
		}
	}
	return nil
}

// inspect checks the account at intervals: it schedules lost tasks, and logs when a
// round begins to take longer than max_staleness and when that ends.
func (a *account) inspect(now time.Time) {
	a.with(func(s *state) {
		for _, key := range s.scheduleLost(now) {
			a.metrics.repaired.Inc()
			a.log.Error("task had no next poll", zap.Stringer("task", key), zap.String("hint", "repaired; please report this"))
		}

		round, most := s.round(), a.plan.MaxStaleness
		if !s.overloaded.Since().IsZero() {
			most -= most / 10 // hysteresis
		}
		if round <= most {
			if _, ended := s.overloaded.End(now); ended {
				a.log.Info("overload ended", zap.Int("tasks", len(s.tasks)), zap.Duration("round", round))
			}
		} else if s.overloaded.Begin(now) {
			a.log.Warn("overloaded", zap.Int("tasks", len(s.tasks)), zap.Float64("requests_per_second", s.limiter.Rate()), zap.Duration("round", round),
				zap.String("hint", "requests_per_second is too low to poll every task within watch.max_staleness: raise it (at most 20), or spread the applications over more accounts"))
		}
	})
	a.wake.Notify()
}
