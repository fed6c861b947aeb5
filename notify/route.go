package notify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"pushwatch/watcher"
)

// A Filter selects the events that a notifier gets.
type Filter struct {
	Events []string          // types, such as "push.stopped", or patterns: "push.*", "*"
	Match  map[string]string // shell patterns on task labels; all must match. Events that belong to no task match any
}

// Validate returns all faults of the filter.
func (f Filter) Validate() []error {
	var errs []error
	if len(f.Events) == 0 {
		errs = append(errs, fmt.Errorf(`events = []: want at least one type or pattern, such as ["push.stopped", "push.failed"] or ["*"]`))
	}
	types := make([]string, len(watcher.EventTypes))
	for i, t := range watcher.EventTypes {
		types[i] = string(t)
	}
	for _, pattern := range f.Events {
		if !slices.ContainsFunc(watcher.EventTypes, func(t watcher.EventType) bool { return matches(pattern, t) }) {
			errs = append(errs, fmt.Errorf(`events: %q is not an event type: want one of %s, or a pattern such as "push.*" or "*"`, pattern, strings.Join(types, ", ")))
		}
	}
	for label, pattern := range f.Match {
		if _, err := path.Match(pattern, ""); err != nil {
			errs = append(errs, fmt.Errorf(`match.%s = %q: want a shell pattern, such as "math-*"`, label, pattern))
		}
	}
	return errs
}

// matches reports whether a pattern selects a type: the type itself, a group of
// types ("push.*"), or all ("*").
func matches(pattern string, t watcher.EventType) bool {
	group, isGroup := strings.CutSuffix(pattern, "*")
	if !isGroup {
		return pattern == string(t)
	}
	return pattern == "*" || strings.HasSuffix(group, ".") && strings.HasPrefix(string(t), group)
}

// Wants reports whether the filter selects an event.
func (f Filter) Wants(t watcher.EventType, labels map[string]string) bool {
	if !slices.ContainsFunc(f.Events, func(pattern string) bool { return matches(pattern, t) }) {
		return false
	}
	if !strings.HasPrefix(string(t), "push.") {
		return true
	}
	for label, pattern := range f.Match {
		value, ok := labels[label]
		if matched, _ := path.Match(pattern, value); !ok || !matched {
			return false
		}
	}
	return true
}

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
		chain, next := []string{name}, fallback
		for ; next != "" && !slices.Contains(chain, next); next = fallbacks[next] {
			chain = append(chain, next)
		}
		if next == name {
			faults[name] = fmt.Errorf("fallback = %q: is a cycle: %s", fallback, strings.Join(append(chain, name), " → "))
		}
	}
	return faults
}
