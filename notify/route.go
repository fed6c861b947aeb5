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
	for _, pattern := range f.Events {
		if !slices.ContainsFunc(watcher.EventTypes, func(t watcher.EventType) bool { return matches(pattern, t) }) {
			errs = append(errs, fmt.Errorf(`events: %q is not an event type: want one of %s, or a pattern such as "push.*" or "*"`, pattern, typeList()))
		}
	}
	for label, pattern := range f.Match {
		if _, err := path.Match(pattern, ""); err != nil {
			errs = append(errs, fmt.Errorf(`match.%s = %q: want a shell pattern, such as "math-*"`, label, pattern))
		}
	}
	return errs
}

// typeList lists the event types for an error message.
func typeList() string {
	var names []string
	for _, t := range watcher.EventTypes {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
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
