package page

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"pushwatch/watcher"
)

const (
	sampleEvery = 15 * time.Second
	samples     = int(time.Hour / sampleEvery)
)

// A History keeps the last hour of each account in memory, as a sample every 15 s. For
// accounts of other processes it keeps the status that those published.
type History struct {
	mu       sync.Mutex
	accounts map[string][]sample // by name, the oldest first; each at most samples long
}

// A measure is something that a sample has a value of.
type measure int

const (
	made           measure = iota // polls a second
	granted                       // polls a second that were possible
	oldest                        // age of the oldest observation of a live task, in seconds
	startsSeen                    // average delay with which starts of pushes were observed, in seconds
	startsExpected                // and with which they were expected to be
	stopsSeen
	stopsExpected
	measures
)

// A sample is the status of an account at a time.
type sample struct {
	at     time.Time
	values [measures]float32 // NaN: there is none
	blind  bool              // the account or an application had an outage, or nothing could be saved
}

// NewHistory returns an empty History.
func NewHistory() *History { return &History{accounts: make(map[string][]sample)} }

// Run takes samples of what status returns until ctx ends.
func (h *History) Run(ctx context.Context, status func(context.Context) []watcher.AccountStatus) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		h.Sample(time.Now(), status(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sample adds a sample of each account whose status is current, and drops samples that
// are an hour old.
func (h *History) Sample(now time.Time, status []watcher.AccountStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range status {
		if s.Granted <= 0 || !s.Unheard.IsZero() {
			continue
		}
		list := h.accounts[s.Name]
		if len(list) == samples {
			list = slices.Delete(list, 0, 1)
		}
		h.accounts[s.Name] = append(list, sampleOf(s, now))
	}
	for name, list := range h.accounts {
		list = slices.DeleteFunc(list, func(s sample) bool { return now.Sub(s.at) >= time.Hour })
		if h.accounts[name] = list; len(list) == 0 {
			delete(h.accounts, name)
		}
	}
}

// value is that of a measure; false: there is none.
func (s sample) value(m measure) (float64, bool) {
	f := float64(s.values[m])
	return f, !math.IsNaN(f)
}

func sampleOf(s watcher.AccountStatus, now time.Time) sample {
	of := sample{at: now, blind: len(s.Outages) > 0 || !s.StoreFailed.IsZero()}
	of.values[made], of.values[granted] = float32(s.Used), float32(s.Granted)
	of.values[oldest] = float32(math.NaN())
	for _, n := range s.Tasks {
		if n > 0 {
			of.values[oldest] = float32(s.Staleness.Seconds())
		}
	}
	for m, d := range map[measure]time.Duration{
		startsSeen: s.Starts.Seen, startsExpected: s.Starts.Expected, stopsSeen: s.Stops.Seen, stopsExpected: s.Stops.Expected,
	} {
		of.values[m] = float32(d.Seconds())
		if d == 0 {
			of.values[m] = float32(math.NaN())
		}
	}
	return of
}

// of returns the samples of an account that are less than an hour old, the oldest first.
func (h *History) of(account string, now time.Time) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.accounts[account]), func(s sample) bool { return now.Sub(s.at) >= time.Hour })
}
