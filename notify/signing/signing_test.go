package signing_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/signing"
)

// The check value that the documentation gives to people who write consumers.
const (
	checkSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	checkID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	checkBody      = `{"test": 2432232314}`
	checkSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var checkTime = time.Unix(1614265330, 0)

func mustKey(t testing.TB, secret string) signing.Key {
	t.Helper()
	key, err := signing.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey(t testing.TB) signing.Key {
	t.Helper()
	return mustKey(t, signing.GenerateSecret())
}

func headers(id string, at time.Time, signature string) http.Header {
	h := http.Header{}
	h.Set(signing.HeaderID, id)
	h.Set(signing.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(signing.HeaderSignature, signature)
	return h
}

func TestSignCheckValue(t *testing.T) {
	keys := []signing.Key{mustKey(t, checkSecret)}
	if got := signing.Sign(keys, checkID, checkTime, []byte(checkBody)); got != checkSignature {
		t.Errorf("Sign(check value) = %q, want %q", got, checkSignature)
	}
	h := headers(checkID, checkTime, checkSignature)
	if err := signing.Verify(keys, h, []byte(checkBody), checkTime); err != nil {
		t.Errorf("Verify(check value) = %v, want nil", err)
	}
}

func TestSignRefuses(t *testing.T) {
	key := newKey(t)
	tests := []struct {
		name string
		keys []signing.Key
		id   string
	}{
		{"no keys", nil, checkID},
		{"zero key", []signing.Key{key, {}}, checkID},
		{"too many keys", slices.Repeat([]signing.Key{key}, signing.MaxKeys+1), checkID},
		{"dot in id", []signing.Key{key}, "msg_a.1"},
	}
	for _, tt := range tests {
		if got := signing.Sign(tt.keys, tt.id, checkTime, nil); got != "" {
			t.Errorf("Sign with %s = %q, want nothing", tt.name, got)
		}
	}
}

func TestValidID(t *testing.T) {
	tests := map[string]bool{
		checkID:                          true,
		"msg_a":                          true,
		"msg_-_Z9":                       true,
		"msg_" + strings.Repeat("x", 60): true,
		"msg_" + strings.Repeat("x", 61): false,
		"":                               false,
		"msg_":                           false,
		"evt_a":                          false,
		"msg_a.b":                        false,
		"msg_a b":                        false,
		"msg_a\n":                        false,
		"msg_é":                          false,
	}
	for id, want := range tests {
		if got := signing.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, got, want)
		}
	}
}

func TestRotation(t *testing.T) {
	before, after, stranger := newKey(t), newKey(t), newKey(t)
	body := []byte(checkBody)
	signature := signing.Sign([]signing.Key{after, before}, checkID, checkTime, body)

	first, second, _ := strings.Cut(signature, " ")
	if want := signing.Sign([]signing.Key{after}, checkID, checkTime, body); first != want {
		t.Errorf("first signature = %q, want the current key's %q", first, want)
	}
	if want := signing.Sign([]signing.Key{before}, checkID, checkTime, body); second != want {
		t.Errorf("second signature = %q, want the old key's %q", second, want)
	}

	tests := []struct {
		name string
		keys []signing.Key
		want error
	}{
		{"the new key", []signing.Key{after}, nil},
		{"the old key", []signing.Key{before}, nil},
		{"a stranger's and the old key", []signing.Key{stranger, before}, nil},
		{"a stranger's key", []signing.Key{stranger}, signing.ErrBadSignature},
	}
	for _, tt := range tests {
		err := signing.Verify(tt.keys, headers(checkID, checkTime, signature), body, checkTime)
		if !errors.Is(err, tt.want) {
			t.Errorf("Verify with %s = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestVerify(t *testing.T) {
	key := mustKey(t, checkSecret)
	const edge = signing.Tolerance
	tests := []struct {
		name   string
		change func(h http.Header)
		body   string        // "" for checkBody
		after  time.Duration // from checkTime to the consumer's clock
		want   error
	}{
		{name: "genuine"},
		{name: "other version beside it", change: set(signing.HeaderSignature, "v1a,AAAA "+checkSignature+" v2,BBBB")},
		{name: "as old as may be", after: edge},
		{name: "as new as may be", after: -edge},
		{name: "too old", after: edge + time.Nanosecond, want: signing.ErrTooOld},
		{name: "too new", after: -edge - time.Nanosecond, want: signing.ErrTooNew},
		{name: "no id", change: set(signing.HeaderID, ""), want: signing.ErrNoSignature},
		{name: "no timestamp", change: set(signing.HeaderTimestamp, ""), want: signing.ErrNoSignature},
		{name: "no signature", change: set(signing.HeaderSignature, ""), want: signing.ErrNoSignature},
		{name: "other id", change: set(signing.HeaderID, "msg_another"), want: signing.ErrBadSignature},
		{name: "malformed id", change: set(signing.HeaderID, checkID+".1"), want: signing.ErrBadID},
		{name: "other timestamp", change: set(signing.HeaderTimestamp, "1614265331"), want: signing.ErrBadSignature},
		{name: "same timestamp, written otherwise", change: set(signing.HeaderTimestamp, "01614265330"), want: signing.ErrBadSignature},
		{name: "timestamp in words", change: set(signing.HeaderTimestamp, "now"), want: signing.ErrBadTimestamp},
		{name: "timestamp below zero", change: set(signing.HeaderTimestamp, "-1"), want: signing.ErrBadTimestamp},
		{name: "timestamp beyond time", change: set(signing.HeaderTimestamp, "9223372036854775807"), want: signing.ErrBadTimestamp},
		{name: "timestamp of the far future", change: set(signing.HeaderTimestamp, "1099511627775"), want: signing.ErrTooNew},
		{name: "other body", body: `{"test": 2432232315}`, want: signing.ErrBadSignature},
		{name: "other version alone", change: set(signing.HeaderSignature, "v1a,"+checkSignature[3:]), want: signing.ErrBadSignature},
		{name: "cut signature", change: set(signing.HeaderSignature, checkSignature[:20]), want: signing.ErrBadSignature},
		{name: "blank signature", change: set(signing.HeaderSignature, " "), want: signing.ErrBadSignature},
		{
			name:   "the most signatures",
			change: set(signing.HeaderSignature, strings.Repeat("v2,AAAA ", signing.MaxKeys-1)+checkSignature),
		},
		{
			name:   "too many signatures",
			change: set(signing.HeaderSignature, strings.Repeat("v2,AAAA ", signing.MaxKeys)+checkSignature),
			want:   signing.ErrBadSignature,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := headers(checkID, checkTime, checkSignature)
			if tt.change != nil {
				tt.change(h)
			}
			body := []byte(checkBody)
			if tt.body != "" {
				body = []byte(tt.body)
			}
			err := signing.Verify([]signing.Key{key}, h, body, checkTime.Add(tt.after))
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func set(name, value string) func(http.Header) {
	return func(h http.Header) { h.Set(name, value) }
}

// A consumer whose secret was not set must not take a message that was signed
// with the empty secret, as anybody can.
func TestVerifyUnusableKeys(t *testing.T) {
	forged := headers(checkID, checkTime, referenceSignature(nil, checkID, "1614265330", []byte(checkBody)))
	key := newKey(t)
	tests := []struct {
		name string
		keys []signing.Key
	}{
		{"no keys", nil},
		{"a zero key", []signing.Key{{}}},
		{"a zero key behind another", []signing.Key{key, {}}},
		{"too many keys", slices.Repeat([]signing.Key{key}, signing.MaxKeys+1)},
	}
	for _, tt := range tests {
		err := signing.Verify(tt.keys, forged, []byte(checkBody), checkTime)
		if !errors.Is(err, signing.ErrBadKeys) {
			t.Errorf("Verify with %s = %v, want %v", tt.name, err, signing.ErrBadKeys)
		}
	}
}

// referenceSignature is the scheme spelled out a second time.
func referenceSignature(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(slices.Concat([]byte(id), []byte{'.'}, []byte(timestamp), []byte{'.'}, body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// FuzzVerify: what Verify takes is signed with the key, timely and well named;
// and it takes all that is.
func FuzzVerify(f *testing.F) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(checkSecret, "whsec_"))
	if err != nil {
		f.Fatal(err)
	}
	keys := []signing.Key{mustKey(f, checkSecret)}
	f.Add(checkID, "1614265330", checkSignature, []byte(checkBody))
	f.Add(checkID, "1614265330", "v1a,x "+checkSignature, []byte(checkBody))
	f.Add("msg_a.1", "1614265330", referenceSignature(secret, "msg_a.1", "1614265330", nil), []byte(nil))
	f.Add(checkID, "-1614265330", "v1,", []byte("{}"))
	f.Add("", "99999999999999999999", " , ", []byte{0xff})
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{}
		h.Set(signing.HeaderID, id)
		h.Set(signing.HeaderTimestamp, timestamp)
		h.Set(signing.HeaderSignature, signature)

		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		timely := err == nil && !strings.HasPrefix(timestamp, "+") &&
			seconds >= checkTime.Unix()-300 && seconds <= checkTime.Unix()+300
		given := strings.Fields(signature)
		signed := len(given) <= signing.MaxKeys && slices.Contains(given, referenceSignature(secret, id, timestamp, body))
		want := timely && signed && signing.ValidID(id)

		if err := signing.Verify(keys, h, body, checkTime); (err == nil) != want {
			t.Errorf("Verify(%q, %q, %q, %q) = %v, want genuine = %t", id, timestamp, signature, body, err, want)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	keys := []signing.Key{newKey(b)}
	body := []byte(strings.Repeat("x", 700)) // an event is about so long
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		signing.Sign(keys, checkID, checkTime, body)
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := []signing.Key{newKey(b)}
	body := []byte(strings.Repeat("x", 700))
	h := headers(checkID, checkTime, signing.Sign(keys, checkID, checkTime, body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := signing.Verify(keys, h, body, checkTime); err != nil {
			b.Fatal(err)
		}
	}
}
