package tencent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pushwatch/watcher/setting"
)

// Credentials give the keys that sign an account's requests. They are asked
// before each request, so keys can change under a running daemon, and by many
// goroutines at once; what is slow to get should be kept. An error means that
// no request can be made, and must not quote a secret.
type Credentials interface {
	Keys(ctx context.Context) (Keys, error)
}

// Keys are one set of API keys. They print as ***.
type Keys struct {
	SecretID  string
	SecretKey string
	Token     string // with temporary keys only
}

// Format implements [fmt.Formatter], for every verb alike.
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "***") }

// secrets are what a text must not show.
func (k Keys) secrets() []string { return []string{k.SecretKey, k.Token, k.SecretID} }

// validate returns what would keep k from signing a request. Blanks, such as a
// line's end read from a file, could not be sent in a header.
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

// CheckKey returns why value can be no secret id, secret key or token; nil: it may be.
func CheckKey(value string) error {
	if value == "" {
		return errors.New("is empty")
	}
	if last := len(value) - 1; last > 0 && value[0] == value[last] && (value[0] == '"' || value[0] == '\'') {
		return errors.New("is in quotes: remove them")
	}
	for i := range len(value) { // by bytes: it is done at every poll
		if c := value[i]; c <= ' ' || c > '~' {
			return errors.New("holds a blank or another character that no key has")
		}
	}
	return nil
}

// Static are keys that stay as they are. They print as ***.
type Static Keys

// Keys implements [Credentials].
func (s Static) Keys(context.Context) (Keys, error) { return Keys(s), nil }

// Format implements [fmt.Formatter], for every verb alike.
func (s Static) Format(f fmt.State, verb rune) { Keys(s).Format(f, verb) }

// Secrets are keys kept where the settings say. They are read at each request,
// so that a file can be replaced under a running daemon.
//
// A [Client] goes on with the keys it has until all that it has were replaced,
// so the files may be written one after the other, in any order, while it
// polls. The old keys must stay valid meanwhile. A change of only some of them,
// or a file that cannot be read, counts once it has stayed for 10 s. A file is
// best renamed into place: one that is written in place can be read half done.
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
