package signing_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pushwatch/notify/signing"
)

func secretOf(n int) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
}

func TestParseKey(t *testing.T) {
	plain := strings.TrimPrefix(checkSecret, "whsec_")
	for _, secret := range []string{checkSecret, plain, " \t" + checkSecret + "\r\n"} {
		key := mustKey(t, secret)
		if got := signing.Sign([]signing.Key{key}, checkID, checkTime, []byte(checkBody)); got != checkSignature {
			t.Errorf("Sign with ParseKey(%q) = %q, want %q", secret, got, checkSignature)
		}
	}
	for _, n := range []int{24, 32, 64} {
		if _, err := signing.ParseKey("whsec_" + secretOf(n)); err != nil {
			t.Errorf("ParseKey(%d bytes) = %v, want nil", n, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	tests := []struct {
		name, secret, want string
	}{
		{"nothing", "", "0 bytes: want 24 to 64"},
		{"the prefix alone", "whsec_", "0 bytes: want 24 to 64"},
		{"too short", "whsec_" + secretOf(23), "23 bytes: want 24 to 64"},
		{"too long", "whsec_" + secretOf(65), "65 bytes: want 24 to 64"},
		{"no padding", strings.TrimRight(secretOf(25), "="), "want \"whsec_\" and standard base64"},
		{"the URL alphabet", strings.Repeat("-_-_", 8), "want \"whsec_\" and standard base64"},
		{"another kind of key", "whsk_" + secretOf(32), "want \"whsec_\" and standard base64"},
		{"two secrets", secretOf(24) + "\n" + secretOf(24), "on one line"},
	}
	for _, tt := range tests {
		_, err := signing.ParseKey(tt.secret)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseKey(%s) = %v, want an error with %q", tt.name, err, tt.want)
			continue
		}
		if body := strings.TrimPrefix(tt.secret, "whsec_"); body != "" && strings.Contains(err.Error(), body[:8]) {
			t.Errorf("ParseKey(%s) = %v, which shows the secret", tt.name, err)
		}
	}
}

func TestGenerateSecret(t *testing.T) {
	a, b := signing.GenerateSecret(), signing.GenerateSecret()
	if a == b {
		t.Errorf("GenerateSecret() = %q twice", a)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a, "whsec_"))
	if err != nil || len(decoded) != 32 {
		t.Errorf("GenerateSecret() = %q: %d bytes, %v; want 32", a, len(decoded), err)
	}
	mustKey(t, a)
}

func TestKeyShowsNothing(t *testing.T) {
	const secret = "an easily recognised secret key!"
	key := mustKey(t, base64.StdEncoding.EncodeToString([]byte(secret)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, key); got != "***" {
			t.Errorf("Sprintf(%q, key) = %q, want ***", verb, got)
		}
		if got := fmt.Sprintf(verb, []signing.Key{key}); !strings.Contains(got, "***") {
			t.Errorf("Sprintf(%q, keys) = %q, want *** in it", verb, got)
		}
	}
	if got := key.String(); got != "***" {
		t.Errorf("String() = %q, want ***", got)
	}
	if got, err := json.Marshal(map[string]any{"key": key}); string(got) != `{"key":"***"}` {
		t.Errorf("json.Marshal = %s, %v, want ***", got, err)
	}

	// In an unexported field, the methods of Key are out of fmt's reach.
	hidden := struct{ key signing.Key }{key}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		got := fmt.Sprintf(verb, hidden)
		for _, leak := range []string{secret[:8], fmt.Sprintf("%x", secret[:8]), strings.Trim(fmt.Sprint([]byte(secret[:4])), "[]")} {
			if strings.Contains(got, leak) {
				t.Errorf("Sprintf(%q, struct with key) = %q, which shows the secret", verb, got)
			}
		}
	}
}
