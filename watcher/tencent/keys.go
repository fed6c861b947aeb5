package tencent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"pushwatch/watcher/setting"
)

// Credentials provide the keys that sign an account's requests. Keys is called before each
// request, so that keys can change under a running daemon, and must be safe for concurrent use.
// Slow implementations should cache. The error must not quote a secret.
type Credentials interface {
	Keys(ctx context.Context) (Keys, error)
}

// Keys are one set of API keys, as [Credentials] constant. They print as ***.
type Keys struct {
	SecretID  string
	SecretKey string
	Token     string // with temporary keys only
}

// Keys implements [Credentials].
func (k Keys) Keys(context.Context) (Keys, error) { return k, nil }

// Format implements [fmt.Formatter].
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "***") }

// secrets returns the parts that an error must not show.
func (k Keys) secrets() []string { return []string{k.SecretKey, k.Token, k.SecretID} }

// validate returns why k cannot sign a request. Blanks, such as a newline at the end of a file,
// cannot be sent in a header.
func (k Keys) validate() error {
	return errors.Join(
		validate("secret id", k.SecretID, true), validate("secret key", k.SecretKey, true), validate("token", k.Token, false))
}

func validate(name, value string, required bool) error {
	if value == "" && !required {
		return nil
	}
	if err := CheckKey(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// CheckKey returns why value is not a secret id, secret key or token; nil: it may be one.
func CheckKey(value string) error {
	if value == "" {
		return errors.New("is empty")
	}
	if last := len(value) - 1; last > 0 && value[0] == value[last] && (value[0] == '"' || value[0] == '\'') {
		return errors.New("is in quotes: remove them")
	}
	for i := range len(value) { // by bytes, since every poll does this
		if c := value[i]; c <= ' ' || c > '~' {
			return errors.New("holds a blank or another character that no key has")
		}
	}
	return nil
}

// Secrets are keys in files, environment variables or the settings. They are read at each
// request, so that a file can be replaced under a running daemon.
//
// A [Client] keeps its keys until all of them are replaced, so that the files can be written one
// after the other, in any order. The old keys must stay valid until then. A partial change, or an
// unreadable file, takes effect after 10 s. A file should be renamed into place: one written in
// place can be read half done.
type Secrets struct {
	ID, Key setting.Secret
	Token   setting.Secret // may be unset
}

// Keys implements [Credentials].
func (s Secrets) Keys(context.Context) (Keys, error) {
	var keys Keys
	for _, part := range []struct {
		name   string
		secret setting.Secret
		into   *string
	}{{"secret id", s.ID, &keys.SecretID}, {"secret key", s.Key, &keys.SecretKey}, {"token", s.Token, &keys.Token}} {
		if part.secret.IsZero() && part.name == "token" {
			continue
		}
		value, err := part.secret.Value()
		if err != nil {
			return Keys{}, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.into = value
	}
	return keys, keys.validate()
}

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
