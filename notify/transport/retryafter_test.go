package transport

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 16, 5, 500e6, time.UTC)
	at := time.Date(2026, 11, 22, 18, 20, 0, 0, time.UTC)
	day := now.Add(24 * time.Hour)
	var none time.Time
	tests := map[string]time.Time{
		"7":                              now.Add(7 * time.Second),
		" 120 ":                          now.Add(2 * time.Minute),
		"86400":                          day,
		"86401":                          day,
		"31536000":                       day,
		strings.Repeat("9", 30):          day,
		at.Format(http.TimeFormat):       at,
		"Sunday, 22-Nov-26 18:20:00 GMT": at,
		"Sun Nov 22 18:20:00 2026":       at,
		"Fri, 31 Dec 9999 23:59:59 GMT":  day,
		"Sun, 22 Nov 2026 18:16:05 GMT":  none, // half a second ago
		"Mon, 01 Jan 1990 00:00:00 GMT":  none,
		"0":                              none,
		"":                               none,
		"-7":                             none,
		"+7":                             none,
		"7.5":                            none,
		"7s":                             none,
		"soon":                           none,
	}
	for value, want := range tests {
		if got := RetryAfter(value, now); !got.Equal(want) {
			t.Errorf("RetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

// FuzzRetryAfter: whatever a receiver asks for, the pause lies ahead and ends.
func FuzzRetryAfter(f *testing.F) {
	f.Add("7")
	f.Add("Sun, 22 Nov 2026 18:20:00 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		now := time.Date(2026, 11, 22, 18, 16, 5, 0, time.UTC)
		got := RetryAfter(value, now)
		if !got.IsZero() && (!got.After(now) || got.After(now.Add(24*time.Hour))) {
			t.Errorf("RetryAfter(%q) = %v, want within a day after %v", value, got, now)
		}
	})
}
