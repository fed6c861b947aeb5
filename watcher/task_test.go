package watcher

import (
	"strings"
	"testing"
)

// The value that a fault shows is UTF-8, however it is cut.
func TestFaultsAreText(t *testing.T) {
	for _, value := range []string{strings.Repeat("数", 100), "a" + strings.Repeat("数", 100), "\xca\xfd\xd1\xa7", strings.Repeat("\xa7", 300)} {
		errs := Registration{Key: Key{1, "a"}, Labels: map[string]string{"course": value}}.Validate()
		if len(errs) == 0 {
			t.Fatalf("label %q: no fault", value)
		}
		for _, err := range errs {
			shown := err.(*FieldError).Value.(string)
			if text := strings.ToValidUTF8(shown, "?"); text != shown || len(shown) > 100 {
				t.Errorf("label %q: the fault shows %q, want text of at most 100 bytes", value, shown)
			}
		}
	}
	if errs := (Registration{Key: Key{1, "a"}, Labels: map[string]string{"course": "数学"}}).Validate(); len(errs) > 0 {
		t.Errorf("label 数学: %v, want no fault", errs)
	}
}
