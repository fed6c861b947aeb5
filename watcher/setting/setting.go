// Package setting holds the value types of the settings: durations as text, and secrets that
// never print.
package setting

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Duration is a [time.Duration] with the text form "90s" or "1h30m". A number without a unit is
// refused.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String leaves out the zero units that [time.Duration.String] ends with: 1m, not 1m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(`want a number with its unit, such as "90s", "15m" or "1h30m"`)
	}
	*d = Duration(v)
	return nil
}

// Mask is what every secret prints as.
const Mask = "***"

// A Secret is a confidential value, or where to read it: a file or an environment variable. It
// prints as *** in every format, in JSON, TOML and logs.
//
// [Secret.Value] reads a file at each call, so that a secret can change under a running daemon.
type Secret struct {
	file, env, plain string
}

// Plain returns a secret with a value.
func Plain(value string) Secret { return Secret{plain: value} }

// File returns a secret in a file, without a byte order mark and white space around it.
func File(path string) Secret { return Secret{file: path} }

// Env returns a secret in an environment variable.
func Env(name string) Secret { return Secret{env: name} }

// IsZero reports whether no secret is set.
func (s Secret) IsZero() bool { return s == Secret{} }

// IsPlain reports whether the settings contain the secret's value.
func (s Secret) IsPlain() bool { return s.plain != "" }

// Value reads the secret. The error names the file or variable, never the value.
func (s Secret) Value() (string, error) {
	switch {
	case s.file != "":
		text, err := ReadFile(s.file)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return "", fmt.Errorf("read secret %s: the file is empty", s.file)
		}
		return unquoted(text, s.file)
	case s.env != "":
		text, err := withoutMark([]byte(os.Getenv(s.env)))
		if err != nil {
			return "", fmt.Errorf("read secret: environment variable %s: %w", s.env, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return "", fmt.Errorf("read secret: environment variable %s is not set or empty", s.env)
		}
		return unquoted(text, s.env)
	case s.plain != "":
		return s.plain, nil
	default:
		return "", errors.New("read secret: none is set")
	}
}

// unquoted trims white space. Quotes, which only TOML and shells remove, are an error.
func unquoted(text []byte, where string) (string, error) {
	v := strings.TrimSpace(string(text))
	if last := len(v) - 1; last > 0 && v[0] == v[last] && strings.IndexByte("\"'`", v[0]) >= 0 {
		return "", fmt.Errorf("read secret %s: the value is in quotes: remove them", where)
	}
	return v, nil
}

// maxFileBytes limits the size of a file: a bundle of all authorities has 200 KiB.
const maxFileBytes = 1 << 20

// ReadFile reads a small text file, such as a secret or a certificate, without the byte order
// mark of Windows editors. UTF-16 is an error.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1)) // a device has no size
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, maxFileBytes)
	}
	if text, err = withoutMark(text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// KeyPair reads a certificate and its key with [ReadFile].
func KeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, certErr := ReadFile(certFile)
	key, keyErr := ReadFile(keyFile)
	if err := cmp.Or(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// withoutMark returns UTF-8 text without its byte order mark.
func withoutMark(text []byte) ([]byte, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("the text is UTF-16 or has zero bytes: save it as UTF-8")
	}
	return text, nil
}

// Where returns where the secret is: "file /etc/key", "env KEY", "in the settings", or "not set".
func (s Secret) Where() string {
	switch {
	case s.file != "":
		return "file " + s.file
	case s.env != "":
		return "env " + s.env
	case s.plain != "":
		return "in the settings"
	default:
		return "not set"
	}
}

// Format implements [fmt.Formatter]: it prints the mask.
func (s Secret) Format(f fmt.State, _ rune) { f.Write([]byte(s.mask())) }

// MarshalText implements [encoding.TextMarshaler]: it returns the mask, or nothing if no secret is
// set.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: the text is the value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Plain(string(text))
	return nil
}

func (s Secret) mask() string {
	if s.IsZero() {
		return ""
	}
	return Mask
}

var (
	_ encoding.TextMarshaler   = Secret{}
	_ encoding.TextUnmarshaler = (*Secret)(nil)
	_ fmt.Formatter            = Secret{}
)
