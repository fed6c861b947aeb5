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

// An Hour remembers how the watching went over the last hour, in memory: a sample
// of each account every 15 s. Of the accounts that other processes watch, it
// remembers what these told.
type Hour struct {
	mu       sync.Mutex
	accounts map[string][]sample // by name, the oldest first; each at most samples long
}

// A measure is what a sample has a figure of.
type measure int

const (
	made           measure = iota // polls a second
	granted                       // polls a second that could have been made
	oldest                        // seconds since the oldest observation of a live task
	startsSeen                    // seconds by which the starts of pushes were seen late, of late
	startsExpected                // and by which they had to be expected to be
	stopsSeen
	stopsExpected
	measures
)

// A sample is how the watching of an account went at a time.
type sample struct {
	at      time.Time
	figures [measures]float32 // NaN: there is none
	dark    bool              // it, or an application of it, could not be observed, or nothing saved
}

// NewHour returns an Hour that remembers nothing yet.
func NewHour() *Hour { return &Hour{accounts: make(map[string][]sample)} }

// Run takes samples of what status tells until ctx ends.
func (h *Hour) Run(ctx context.Context, status func(context.Context) []watcher.AccountStatus) error {
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

// Sample takes one sample of each account of which something is known now, and
// forgets those that are an hour old.
func (h *Hour) Sample(now time.Time, status []watcher.AccountStatus) {
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

// figure is that of a measure; false: there is none.
func (s sample) figure(m measure) (float64, bool) {
	f := float64(s.figures[m])
	return f, !math.IsNaN(f)
}

func sampleOf(s watcher.AccountStatus, now time.Time) sample {
	of := sample{at: now, dark: len(s.Dark) > 0 || !s.StoreFailed.IsZero()}
	of.figures[made], of.figures[granted] = float32(s.Used), float32(s.Granted)
	of.figures[oldest] = float32(math.NaN())
	for _, n := range s.Tasks {
		if n > 0 {
			of.figures[oldest] = float32(s.Stalest.Seconds())
		}
	}
	for m, d := range map[measure]time.Duration{
		startsSeen: s.Starts.Seen, startsExpected: s.Starts.Expected, stopsSeen: s.Stops.Seen, stopsExpected: s.Stops.Expected,
	} {
		of.figures[m] = float32(d.Seconds())
		if d == 0 {
			of.figures[m] = float32(math.NaN())
		}
	}
	return of
}

// of returns the samples of an account that are less than an hour old at a time, the
// oldest first.
func (h *Hour) of(account string, now time.Time) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.accounts[account]), func(s sample) bool { return now.Sub(s.at) >= time.Hour })
}
