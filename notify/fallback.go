package notify

import (
	"fmt"
	"slices"
	"strings"
)

// CheckFallbacks returns the faults in fallbacks, which maps each notifier to its
// fallback; an empty one is none. A fault is a fallback that is not a notifier, or a
// chain of them that leads back to its start.
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
				faults[name] = fmt.Errorf("fallback = %q: is a cycle: %s", fallback, strings.Join(append(seen, name), " → "))
			}
			if slices.Contains(seen, next) {
				break
			}
			seen = append(seen, next)
		}
	}
	return faults
}
