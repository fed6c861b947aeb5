package watcher

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// AccountStatus tells how the watching of one account goes.
type AccountStatus struct {
	Name        string
	Member      string        // the process that watches it; empty where there is but this one
	Unheard     time.Time     // since when that process is not heard of, by the database's clock, so all this is as it was then; zero: it is
	Limit       float64       // requests a second that it may make
	Granted     float64       // and is granted now: less while others use the quota
	Used        float64       // requests a second that it made in the last minute
	Tasks       map[State]int // live ones by state
	Stalest     time.Duration // age of the oldest observation of a live task
	Patience    time.Duration // how old that may get, while the account can be observed
	LastSeen    time.Time     // the newest observation of a live task; zero: none yet
	Lap         time.Duration // time in which every live task could be polled once
	MaxLap      time.Duration // what that must not exceed for watch.max_staleness to be kept
	Overloaded  bool          // Lap is longer than that, and a warning was logged
	Starts      Lateness      // of the starts of pushes
	Stops       Lateness      // of their ends
	Dark        []Darkness    // what cannot be observed now
	StoreFailed time.Time     // since when nothing can be written, or read for it; zero: it can
}

// A Darkness is an account or application of which the newest polls told nothing. It
// is none without a live task, for then nobody asks.
type Darkness struct {
	SDKAppID int64 // 0: the whole account
	Since    time.Time
	LastSeen time.Time // the newest observation of a live task of it; zero: none yet
	Cause    *APIError
	Told     bool // as watcher.blind
	Tasks    int
}

// Status returns the accounts that this process watches, by name.
func (w *Watcher) Status() []AccountStatus {
	now := time.Now()
	var all []AccountStatus
	for _, a := range w.watched() {
		all = append(all, a.status(now))
	}
	return all
}

func (a *account) status(now time.Time) AccountStatus {
	s := AccountStatus{Name: a.Name, Limit: a.RequestsPerSecond, Granted: a.limiter.Rate(), Tasks: make(map[State]int)}
	a.mu.Lock()
	defer a.mu.Unlock()
	type share struct {
		live int
		seen tick // the newest observation
	}
	shares := map[int64]*share{wholeAccount: {seen: never}} // by application
	for _, e := range a.tasks {
		s.Tasks[e.state]++
		s.Stalest = max(s.Stalest, tickOf(now).since(max(e.observed, tickOf(e.registered))))
		of := shares[e.key.SDKAppID]
		if of == nil {
			of = &share{seen: never}
			shares[e.key.SDKAppID] = of
		}
		of.live++
		of.seen = max(of.seen, e.observed)
	}
	whole := shares[wholeAccount]
	whole.live = len(a.tasks)
	for _, of := range shares {
		whole.seen = max(whole.seen, of.seen)
	}
	s.LastSeen = whole.seen.time(now)
	s.Used = a.sent.rate(now)
	s.Lap, s.MaxLap = time.Duration(float64(len(a.tasks))/s.Granted*float64(time.Second)), a.plan.MaxStaleness
	s.Patience = a.schedule.patience()
	s.Overloaded = a.overloaded
	s.Starts, s.Stops = a.starts.show(), a.stops.show()
	s.StoreFailed = a.storeFailed
	if s.StoreFailed.IsZero() || !a.unreadable.IsZero() && a.unreadable.Before(s.StoreFailed) {
		s.StoreFailed = a.unreadable
	}
	for app, sight := range a.sights {
		if of := shares[app]; !sight.dark.IsZero() && of != nil && of.live > 0 {
			d := Darkness{SDKAppID: app, Since: sight.dark, Told: sight.told, LastSeen: of.seen.time(now), Tasks: of.live}
			if sight.cause != nil {
				d.Cause = sight.cause.api()
			}
			s.Dark = append(s.Dark, d)
		}
	}
	slices.SortFunc(s.Dark, func(a, b Darkness) int { return cmp.Compare(a.SDKAppID, b.SDKAppID) })
	return s
}

// A meter counts what happens, by the second, over the last minute.
type meter struct {
	counts [60]int
	newest int64     // second of the newest count
	since  time.Time // when the seconds began
}

// add counts one.
func (m *meter) add(now time.Time) {
	if m.since.IsZero() {
		m.since = now
	}
	m.turn(now)
	m.counts[m.newest%int64(len(m.counts))]++
}

// turn empties the seconds that have passed without a count.
func (m *meter) turn(now time.Time) {
	second := int64(now.Sub(m.since) / time.Second) // whatever the wall clock is set to
	if second-m.newest >= int64(len(m.counts)) {
		m.counts = [60]int{}
		m.newest = second
	}
	for ; m.newest < second; m.newest++ {
		m.counts[(m.newest+1)%int64(len(m.counts))] = 0
	}
}

// rate is how many there were a second, over the last minute or since the first.
func (m *meter) rate(now time.Time) float64 {
	if m.since.IsZero() {
		return 0
	}
	m.turn(now)
	sum := 0
	for _, n := range m.counts {
		sum += n
	}
	return float64(sum) / min(60, max(1, now.Sub(m.since).Seconds()))
}

// Ready returns an error where what is seen cannot be saved.
func (w *Watcher) Ready(now time.Time) error {
	for _, a := range w.watched() {
		a.mu.Lock()
		unwritable, unreadable := a.storeFailed, a.unreadable
		a.mu.Unlock()
		if !unwritable.IsZero() {
			return fmt.Errorf("account %s: the database has not taken writes for %s", a.Name, now.Sub(unwritable).Round(time.Second))
		}
		if !unreadable.IsZero() {
			return fmt.Errorf("account %s: the database could not be read for %s", a.Name, now.Sub(unreadable).Round(time.Second))
		}
	}
	return nil
}

// inspect repairs what must not be and warns of what the operator should know. It
// is called now and then.
func (a *account) inspect(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, e := range a.tasks {
		if !e.polling && !a.waits(e) {
			a.metrics.repaired.Inc()
			a.log.Error("task had no next poll: repaired", zap.Stringer("task", key))
			a.enqueue(e)
			a.notify()
		}
	}
	lap := time.Duration(float64(len(a.tasks)) / a.limiter.Rate() * float64(time.Second))
	most := a.plan.MaxStaleness
	if a.overloaded {
		most -= most / 10 // for what lies about the limit not to be told again and again
	}
	overloaded := lap > most
	if overloaded && !a.overloaded {
		a.log.Warn("more tasks than the limit allows to poll within watch.max_staleness: ask Tencent for a higher limit, or spread the applications over more accounts",
			zap.Int("tasks", len(a.tasks)), zap.Float64("requests_per_second", a.limiter.Rate()), zap.Duration("each_polled_every", lap.Round(time.Second)))
	} else if !overloaded && a.overloaded {
		a.log.Info("every task can be polled within watch.max_staleness again", zap.Int("tasks", len(a.tasks)))
	}
	a.overloaded = overloaded
}

// waits reports whether an entry stands where it will be polled from. a.mu is held.
func (a *account) waits(e *entry) bool {
	return a.schedule.holds(e)
}
