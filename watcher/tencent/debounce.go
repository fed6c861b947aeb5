package tencent

import (
	"context"
	"sync"
	"time"
)

// settleTime is after which time partly replaced or unreadable keys are used as they are.
const settleTime = 10 * time.Second

// debounced delays the use of changed keys until all parts are replaced: people and tools write
// files one by one, or in place. A request signed with mixed keys is refused, and refusals stop
// the polls of a whole account.
type debounced struct {
	source Credentials

	mu    sync.Mutex
	used  Keys      // zero: unreadable for settleTime, or from the start
	found Keys      // as last read; zero: unreadable
	since time.Time // last change of found
}

// Keys implements [Credentials]. It reads the source under the lock, so that an older reading
// cannot replace a newer one.
func (s *debounced) Keys(ctx context.Context) (Keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.source.Keys(ctx)
	if err != nil {
		found = Keys{}
	}
	now := time.Now()
	if found != s.found {
		s.found, s.since = found, now
	}
	if s.used == (Keys{}) || err == nil && found.replace(s.used) || now.Sub(s.since) >= settleTime {
		s.used = found
	}
	if s.used == (Keys{}) {
		return Keys{}, err
	}
	return s.used, nil
}

// replace reports whether k and old have no part in common.
func (k Keys) replace(old Keys) bool {
	return k.SecretID != old.SecretID && k.SecretKey != old.SecretKey && (k.Token != old.Token || old.Token == "")
}
