package notify

import (
	"fmt"
	"slices"
	"strings"
)

// CheckFallbacks finds what is wrong with the fallbacks of notifiers, given by
// the notifiers' names; an empty one is none. It returns a fault for each name
// whose fallback is no notifier, or leads back to the name.
func CheckFallbacks(fallbacks map[string]string) map[string]error {
	faults := make(map[string]error)
	for name, fallback := range fallbacks {
		if fallback == "" {
			continue
		}
		if _, ok := fallbacks[fallback]; !ok {
			faults[name] = fmt.Errorf("fallback = %q: want the name of another notifier", fallback)
			continue
		}
		seen := []string{name}
		for next := fallback; next != ""; next = fallbacks[next] {
			if next == name {
				faults[name] = fmt.Errorf("fallback = %q: goes in a circle: %s", fallback, strings.Join(append(seen, name), " → "))
			}
			if slices.Contains(seen, next) {
				break
			}
			seen = append(seen, next)
		}
	}
	return faults
}
