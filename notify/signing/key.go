package signing

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, as the specification has it
	maxSecret    = 64
	newSecret    = 32 // as many as SHA-256 puts out: more would add nothing
	mask         = "***"
)

// Key signs and verifies. [ParseKey] makes one; the zero Key is not a key, and
// is refused by all that take one. However it is printed, logged or marshalled,
// a Key shows as "***".
type Key struct {
	// A pointer, since fmt cannot call the methods of a Key that is in an
	// unexported field; and one to a string, since fmt follows a pointer to a
	// slice, array, struct or map, but shows of this one the address only.
	secret *string
}

// ParseKey reads a secret as Standard Webhooks writes it: "whsec_", which may
// be left out, and 24 to 64 bytes in base64 with its padding. White space
// around it, such as a file's last line break, is dropped. Errors say what
// would be right and never hold the secret or a part of it.
func ParseKey(secret string) (Key, error) {
	text := strings.TrimPrefix(strings.TrimSpace(secret), secretPrefix)
	decoded, err := base64.StdEncoding.DecodeString(text)
	// Go's decoder passes over line breaks, and would so take two secrets for one.
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return Key{}, errors.New(`parse webhook secret: not base64: want "whsec_" and standard base64 with its padding, on one line`)
	}
	if len(decoded) < minSecret || len(decoded) > maxSecret {
		return Key{}, fmt.Errorf("parse webhook secret: %d bytes: want %d to %d", len(decoded), minSecret, maxSecret)
	}
	return Key{secret: new(string(decoded))}, nil
}

// GenerateSecret returns a new secret of 32 random bytes, in the form that
// [ParseKey] reads, with its prefix.
func GenerateSecret() string {
	secret := make([]byte, newSecret)
	rand.Read(secret) // never fails: https://pkg.go.dev/crypto/rand#Read
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// String returns "***".
func (Key) String() string { return mask }

// Format writes "***" for every verb.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, mask) }

// MarshalText returns "***"; JSON, TOML and loggers use it too.
func (Key) MarshalText() ([]byte, error) { return []byte(mask), nil }
