// Package signing makes and verifies the signatures of pushwatch's webhooks: the
// symmetric scheme "v1" of Standard Webhooks, specified at
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
//
// A signature covers the message's id, the time of the attempt and the body. No other
// header is signed, so none can be trusted. The sender signs with [Sign]; a consumer
// reads its secret once with [ParseKey] and calls [Verify] with the raw body, before
// parsing it. A delivery may arrive more than once, so the consumer then stores
// [HeaderID] and drops the ids it already has.
//
// Several keys may be in use at a time. To change a secret without losing a message, let
// the sender sign with the new and the old one, move the consumers to the new one, then
// drop the old one.
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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of a delivery.
const (
	// HeaderID is the message's id, the same in every attempt. See [ValidID].
	HeaderID = "webhook-id"
	// HeaderTimestamp is when this attempt was signed, in Unix seconds.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature holds what [Sign] returns.
	HeaderSignature = "webhook-signature"
	// HeaderAttempt counts the attempts from 1. It is not signed.
	HeaderAttempt = "webhook-attempt"
)

const (
	// Tolerance is how far the time of an attempt may differ from the consumer's clock.
	// It limits how long a recorded request can be replayed.
	Tolerance = 5 * time.Minute

	// MaxKeys is how many keys may sign a message, and so how many signatures [Verify]
	// reads.
	MaxKeys = 16

	version = "v1,"
)

// The errors of [Verify], which wraps them. The first is the consumer's own fault, the
// others are the request's.
var (
	// ErrBadKeys means that there are no keys, more than [MaxKeys], or a zero one.
	ErrBadKeys = errors.New("unusable keys")
	// ErrNoSignature means that one of the three signed headers is missing.
	ErrNoSignature = errors.New("not signed")
	// ErrBadID means that the id is not valid; see [ValidID].
	ErrBadID = errors.New("malformed id")
	// ErrBadTimestamp means that the time is not a number of Unix seconds.
	ErrBadTimestamp = errors.New("malformed timestamp")
	// ErrTooOld means signed more than [Tolerance] ago: a replay, or a wrong clock on
	// either side.
	ErrTooOld = errors.New("timestamp too old")
	// ErrTooNew means signed more than [Tolerance] ahead: a wrong clock on either side.
	ErrTooNew = errors.New("timestamp too far ahead")
	// ErrBadSignature means that none of the keys made any of the signatures: the
	// secret is another, or the id, time or body was changed on the way.
	ErrBadSignature = errors.New("no signature matches")
)

// ValidID reports whether id is a message id: "msg_" and 1 to 60 of the characters A-Z,
// a-z, 0-9, "_" and "-". A dot separates the signed fields; in an id, it would let two
// different messages share one signature.
func ValidID(id string) bool { return idPattern.MatchString(id) }

var idPattern = regexp.MustCompile(`^msg_[A-Za-z0-9_-]{1,60}$`)

// Sign returns the value of [HeaderSignature] for an attempt made at the time
// at, whose [HeaderTimestamp] must then be at.Unix(): a signature for each key,
// in the order of keys, separated by spaces. The current key is first.
//
// With unusable keys (see [ErrBadKeys]) or an invalid id (see [ValidID]) it returns "",
// which no consumer accepts.
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

// Verify returns nil if one of the keys signed this body and its headers h, at most
// [Tolerance] from now; otherwise an error that wraps one of this package's Err values.
// Signatures of versions other than v1 are ignored. If a header has several lines, the
// first counts, as with [http.Header.Get].
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
	// 40 bits reach past the year 36000 and keep time.Unix from overflowing.
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

// usable reports whether keys can sign. A zero Key is refused rather than ignored: it is
// an empty secret, which anyone can guess.
func usable(keys []Key) bool {
	return len(keys) > 0 && len(keys) <= MaxKeys && !slices.ContainsFunc(keys, func(k Key) bool { return k.secret == nil })
}

// sign returns the signature of k.
func (k Key) sign(id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(*k.secret))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return version + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
