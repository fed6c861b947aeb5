package tencent

import (
	"context"
	"sync"
	"time"
)

// settleTime is how long keys may stay replaced in part, or unreadable, before
// that is taken for what is meant.
const settleTime = 10 * time.Second

// debounced gives keys that are stored where people and tools change them: a part
// at a time, or by writing over the file that is read. An id signed with the key
// of another is refused, and refusals stop the polls of a whole account, so
// what changes is used only when it is whole.
type debounced struct {
	source Credentials

	mu    sync.Mutex
	used  Keys      // none where they could not be read for settleTime, or never yet
	found Keys      // what was read last; none where it could not be
	since time.Time // since when found is so
}

// Keys implements [Credentials]. The source is read under the lock, so that no
// older reading can take the place of a newer one.
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

// replace reports whether k has nothing of the old keys.
func (k Keys) replace(old Keys) bool {
	return k.SecretID != old.SecretID && k.SecretKey != old.SecretKey && (k.Token != old.Token || old.Token == "")
}
