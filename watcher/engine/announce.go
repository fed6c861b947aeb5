package engine

import (
	"context"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
	"pushwatch/watcher/outage"
)

// apply acts on the transitions of the account's outages: it logs them, announces those to
// report, and isolates failing applications.
func (a *account) apply(s *state, now time.Time, changes []outage.Transition) {
	for _, c := range changes {
		log := a.log
		if c.Level == outage.Application {
			log = log.With(zap.Int64("sdk_app_id", c.SDKAppID))
		}
		switch c.Kind {
		case outage.Isolated:
			s.picker.isolate(c.SDKAppID, now)
		case outage.Rejoined:
			s.picker.rejoin(c.SDKAppID, now)
		case outage.Opened, outage.Closed:
			if x := s.picker.isolated[c.SDKAppID]; x != nil && c.Level == outage.Application {
				x.schedule.SetThrift(c.Kind == outage.Closed) // a probe is always worth it
			}
			logBreaker(log, c)
		case outage.QuotaUsed:
			if s.limiter.Throttled(now) {
				log.Warn("others use the account's quota", zap.Float64("requests_per_second", s.limiter.Rate()), zap.String("error", c.Cause.Code))
			}
		case outage.Blind, outage.Sighted:
			if c.Level == outage.Push {
				continue // its task's event reports it: see state.unobserved
			}
			s.pending = append(s.pending, a.announce(log, now, c))
			a.announced.Notify()
		}
	}
}

// logBreaker logs that a breaker opened or closed.
func logBreaker(log *zap.Logger, c outage.Transition) {
	log = log.With(zap.Stringer("scope", c.Level), zap.Int("tasks", c.Tasks), zap.Error(c.Cause))
	switch {
	case c.Kind == outage.Closed:
		log.Info("outage ended")
	case c.Cause.Kind == watcher.DeniedAccount || c.Cause.Kind == watcher.DeniedApplication:
		log.Error("access denied")
	default:
		log.Warn("outage began")
	}
}

// announce logs the beginning or end of a blindness and returns its event.
func (a *account) announce(log *zap.Logger, now time.Time, c outage.Transition) watcher.Event {
	kind, report := watcher.WatcherSighted, watcher.OutageData{
		Account: a.Name, Since: watcher.Timestamp{Time: c.Since}, Tasks: c.Tasks,
	}
	if c.Level == outage.Application {
		report.SDKAppID = &c.SDKAppID
	}
	log = log.With(zap.Time("since", c.Since), zap.Int("tasks", c.Tasks))
	if c.Kind == outage.Blind {
		kind, report.Error = watcher.WatcherBlind, c.Cause.API()
		log.Error("blind", zap.Error(c.Cause))
	} else {
		log.Info("visible again")
	}
	e := watcher.NewOutageEvent(kind, a.watcher.instance, now, report)
	e.Notifiers = a.watcher.route(&e)
	return e
}

// announcements saves the pending announcements in order, until ctx ends. While the store
// fails it tries again.
func (a *account) announcements(ctx context.Context) {
	for attempt := 0; ; {
		var next *watcher.Event
		a.with(func(s *state) {
			if len(s.pending) > 0 {
				next = &s.pending[0]
			}
		})
		if next == nil {
			select {
			case <-ctx.Done():
				return
			case <-a.announced:
			}
			continue
		}
		save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		err := a.store.Announce(save, *next)
		cancel()
		if err == nil {
			attempt = 0
			a.watcher.metrics.events.WithLabelValues(string(next.Type)).Inc()
			a.with(func(s *state) { s.pending = s.pending[1:] })
			continue
		}
		if attempt == 0 && ctx.Err() == nil { // once, however long the store fails
			a.log.Error("event not saved", zap.String("event", next.ID), zap.Error(err))
		}
		if !loop.Sleep(ctx, retryAfter(attempt)) {
			return
		}
		attempt++
	}
}

// retryAfter returns the pause before another try of the store.
func retryAfter(attempt int) time.Duration {
	return min(10*time.Second, 100*time.Millisecond<<min(attempt, 10))
}
