// Package signing makes and checks the signatures that pushwatch's webhooks
// carry: the symmetric scheme "v1" of Standard Webhooks, as written down at
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
//
// A signature covers the message's id, the time of the attempt and the body,
// and nothing else: what another header says is to be believed no more than
// what a stranger says. The sender signs with [Sign]; a consumer reads its
// secret once with [ParseKey] and calls [Verify] with the body exactly as it
// came, before parsing it. As a delivery may come more than once, the consumer
// then keeps [HeaderID] and drops what it already has.
//
// Several keys may be in use at a time. To change a secret without losing a
// message, let the sender sign with the new and the old one, move the
// consumers to the new one, then drop the old one.
//
// The package needs the standard library only.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a delivery.
const (
	// HeaderID names the message, the same in every attempt. See [ValidID].
	HeaderID = "webhook-id"
	// HeaderTimestamp is when this attempt was signed, in Unix seconds.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature holds what [Sign] returns.
	HeaderSignature = "webhook-signature"
	// HeaderAttempt counts the attempts from 1. It is not signed.
	HeaderAttempt = "webhook-attempt"
)

const (
	// Tolerance is how far the time of an attempt may lie from the consumer's
	// clock, either way. It bounds how long a recorded request can be replayed.
	Tolerance = 5 * time.Minute

	// MaxKeys is how many keys one message may be signed with, and so how many
	// signatures [Verify] reads.
	MaxKeys = 16

	version  = "v1,"
	idPrefix = "msg_"
	maxID    = len(idPrefix) + 60
)

// What [Verify] returns, perhaps wrapped. The first is the consumer's own
// fault, the others the request's.
var (
	// ErrBadKeys means that there are no keys, more than [MaxKeys], or a zero one.
	ErrBadKeys = errors.New("unusable keys")
	// ErrNoSignature means that one of the three signed headers is missing.
	ErrNoSignature = errors.New("not signed")
	// ErrBadID means that the id is not one for which [ValidID] holds.
	ErrBadID = errors.New("malformed id")
	// ErrBadTimestamp means that the time is not a number of Unix seconds.
	ErrBadTimestamp = errors.New("malformed timestamp")
	// ErrTooOld means signed more than [Tolerance] ago: a replay, or a clock
	// that is wrong here or there.
	ErrTooOld = errors.New("timestamp too old")
	// ErrTooNew means signed more than [Tolerance] ahead: a clock that is wrong
	// here or there.
	ErrTooNew = errors.New("timestamp too far ahead")
	// ErrBadSignature means that no signature is of any of the keys: another
	// secret, or an id, time or body that was changed on the way.
	ErrBadSignature = errors.New("no signature matches")
)

// ValidID reports whether id can name a message: "msg_" and 1 to 60 of the
// characters A-Z, a-z, 0-9, "_" and "-". A dot separates the signed fields;
// in an id, it would let two different messages share one
// signature.
func ValidID(id string) bool {
	if !strings.HasPrefix(id, idPrefix) || len(id) == len(idPrefix) || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Sign returns the value of [HeaderSignature] for an attempt made at the time
// at, whose [HeaderTimestamp] must then be at.Unix(): a signature for each key,
// in the order of keys, separated by spaces. The current key is first.
//
// Where nothing safe can be signed it returns "", which no consumer accepts:
// when keys are such as [ErrBadKeys] describes, or id is not a [ValidID].
func Sign(keys []Key, id string, at time.Time, body []byte) string {
	if !usable(keys) || !ValidID(id) {
		return ""
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(keys))
	for i, key := range keys {
		signatures[i] = key.sign(id, timestamp, body)
	}
	return strings.Join(signatures, " ")
}

// Verify returns nil if one of the keys signed this body and the headers h
// that came with it, at most [Tolerance] from now; else an error that wraps
// one of this package's Err values. Signatures of versions other than v1 are
// ignored. Where a header has several lines, the first counts, as it does
// for [http.Header.Get].
func Verify(keys []Key, h http.Header, body []byte, now time.Time) error {
	if !usable(keys) {
		return fmt.Errorf("verify webhook: %w: want 1 to %d, each from ParseKey", ErrBadKeys, MaxKeys)
	}
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if h.Get(name) == "" {
			return fmt.Errorf("verify webhook: %w: no %s", ErrNoSignature, name)
		}
	}

	id, timestamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	if !ValidID(id) {
		return fmt.Errorf("verify webhook: %w", ErrBadID)
	}
	// 40 bits reach beyond the year 36000 and keep time.Unix from overflowing.
	seconds, err := strconv.ParseUint(timestamp, 10, 40)
	if err != nil {
		return fmt.Errorf("verify webhook: %w", ErrBadTimestamp)
	}
	switch age := now.Sub(time.Unix(int64(seconds), 0)); {
	case age > Tolerance:
		return fmt.Errorf("verify webhook: %w", ErrTooOld)
	case age < -Tolerance:
		return fmt.Errorf("verify webhook: %w", ErrTooNew)
	}

	given := strings.Fields(h.Get(HeaderSignature))
	if len(given) > MaxKeys {
		return fmt.Errorf("verify webhook: %w: more than %d signatures", ErrBadSignature, MaxKeys)
	}
	for _, key := range keys {
		want := []byte(key.sign(id, timestamp, body))
		for _, signature := range given {
			if hmac.Equal([]byte(signature), want) { // in constant time
				return nil
			}
		}
	}
	return fmt.Errorf("verify webhook: %w", ErrBadSignature)
}

// usable reports whether keys can sign. A zero Key is refused rather than ignored: it
// is an empty secret, which everybody knows.
func usable(keys []Key) bool {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return false
	}
	for _, key := range keys {
		if key.secret == nil {
			return false
		}
	}
	return true
}

// sign returns the one signature of k.
func (k Key) sign(id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(*k.secret))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return version + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
