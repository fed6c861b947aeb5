package page

import (
	"context"
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
// of each account every 15 s.
type Hour struct {
	mu       sync.Mutex
	accounts map[string][]sample // by name, the oldest first
}

// A sample is how the watching of an account went at a time.
type sample struct {
	at                   time.Time
	used, granted, limit float64 // polls a second
	dark                 bool    // it, or an application of it, could not be observed, or nothing saved
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

// Sample takes one sample, and forgets those that are an hour old.
func (h *Hour) Sample(now time.Time, status []watcher.AccountStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range status {
		if s.Granted > 0 {
			h.accounts[s.Name] = append(h.accounts[s.Name], sampleOf(s, now))
		}
	}
	for name, list := range h.accounts {
		list = slices.DeleteFunc(list, func(s sample) bool { return now.Sub(s.at) >= time.Hour })
		if h.accounts[name] = list; len(list) == 0 {
			delete(h.accounts, name)
		}
	}
}

func sampleOf(s watcher.AccountStatus, now time.Time) sample {
	return sample{at: now, used: s.Used, granted: s.Granted, limit: s.Limit, dark: len(s.Dark) > 0 || !s.StoreFailed.IsZero()}
}

// of returns the samples of an account, the oldest first.
func (h *Hour) of(account string) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.accounts[account])
}
