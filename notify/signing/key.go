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
	minSecret    = 24 // bytes, as the specification requires
	maxSecret    = 64
	newSecret    = 32 // the size of a SHA-256 sum: more would add nothing
	mask         = "***"
)

// Key is a secret that signs and verifies. [ParseKey] makes one; the zero Key is invalid,
// and every function refuses it. Printed, logged or marshalled, a Key shows as "***".
type Key struct {
	// A pointer, because fmt cannot call the methods of a Key in an unexported field;
	// and one to a string, because fmt follows pointers to slices, arrays, structs and
	// maps, but prints only the address of this one.
	secret *string
}

// ParseKey reads a secret in the form of Standard Webhooks: "whsec_", which is optional,
// and 24 to 64 bytes in padded base64. White space around it, such as a file's last line
// break, is ignored. Errors say what would be right and hold no part of the secret.
func ParseKey(secret string) (Key, error) {
	text := strings.TrimPrefix(strings.TrimSpace(secret), secretPrefix)
	decoded, err := base64.StdEncoding.DecodeString(text)
	// Go's decoder ignores line breaks, and would read two secrets as one.
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return Key{}, errors.New(`parse webhook secret: not base64: want "whsec_" and standard base64 with its padding, on one line`)
	}
	if len(decoded) < minSecret || len(decoded) > maxSecret {
		return Key{}, fmt.Errorf("parse webhook secret: %d bytes: want %d to %d", len(decoded), minSecret, maxSecret)
	}
	return Key{secret: new(string(decoded))}, nil
}

// GenerateSecret returns a new secret of 32 random bytes, in the form that [ParseKey]
// reads, with the prefix.
func GenerateSecret() string {
	secret := make([]byte, newSecret)
	rand.Read(secret) // never fails: https://pkg.go.dev/crypto/rand#Read
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// String returns "***".
func (Key) String() string { return mask }

// Format writes "***" for every verb.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, mask) }

// MarshalText returns "***". JSON, TOML and loggers use it.
func (Key) MarshalText() ([]byte, error) { return []byte(mask), nil }
