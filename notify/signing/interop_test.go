package signing_test

import (
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pushwatch/notify/signing"
)

// The library that the specification's authors publish is what many consumers
// verify with.
func TestInterop(t *testing.T) {
	secret, old := signing.GenerateSecret(), signing.GenerateSecret()
	keys := []signing.Key{mustKey(t, secret), mustKey(t, old)}
	at := time.Now()
	for _, body := range []string{"", checkBody, "\x00\xff not JSON\r\n"} {
		signature := signing.Sign(keys, checkID, at, []byte(body))
		for _, s := range []string{secret, old} {
			theirs, err := standardwebhooks.NewWebhook(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs.Verify([]byte(body), headers(checkID, at, signature)); err != nil {
				t.Errorf("their Verify(our signature of %q) = %v, want nil", body, err)
			}
			signed, err := theirs.Sign(checkID, at, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if err := signing.Verify(keys, headers(checkID, at, signed), []byte(body), at); err != nil {
				t.Errorf("Verify(their signature of %q) = %v, want nil", body, err)
			}
		}
	}
}
