package notify_test

import (
	"errors"
	"strings"
	"testing"

	"pushwatch/notify"
	"pushwatch/watcher"
)

func TestFilterWants(t *testing.T) {
	for _, c := range []struct {
		events []string
		match  map[string]string
		kind   watcher.EventType
		labels map[string]string
		want   bool
	}{
		{[]string{"push.failed"}, nil, watcher.PushFailed, nil, true},
		{[]string{"push.failed"}, nil, watcher.PushStopped, nil, false},
		{[]string{"push.stopped", "watcher.*"}, nil, watcher.WatcherBlind, nil, true},
		{[]string{"watcher.*"}, nil, watcher.WebhookTest, nil, false},
		{[]string{"*"}, nil, watcher.DeliveryExhausted, nil, true},
		{nil, nil, watcher.PushFailed, nil, false},

		{[]string{"*"}, map[string]string{"course": "math-*"}, watcher.PushFailed, map[string]string{"course": "math-3b"}, true},
		{[]string{"*"}, map[string]string{"course": "math-*"}, watcher.PushFailed, map[string]string{"course": "art-2c"}, false},
		{[]string{"*"}, map[string]string{"course": "*"}, watcher.PushFailed, nil, false},
		{[]string{"*"}, map[string]string{"course": "math-*", "room": "7"}, watcher.PushFailed, map[string]string{"course": "math-3b"}, false},
		// Of no task, and so not asked for its labels.
		{[]string{"*"}, map[string]string{"course": "math-*"}, watcher.WatcherBlind, nil, true},
	} {
		if got := (notify.Filter{Events: c.events, Match: c.match}).Wants(c.kind, c.labels); got != c.want {
			t.Errorf("Filter{%v, %v}.Wants(%s, %v) = %t, want %t", c.events, c.match, c.kind, c.labels, got, c.want)
		}
	}
}

func TestFilterValidate(t *testing.T) {
	for _, c := range []struct {
		filter notify.Filter
		want   []string // a part of each fault
	}{
		{notify.Filter{Events: []string{"push.*", "watcher.blind", "*"}, Match: map[string]string{"course": "math-[1-3]*"}}, nil},
		{notify.Filter{}, []string{"events = []"}},
		{notify.Filter{Events: []string{"push.done", "push", "push*", "*.failed", "pull.*", ""}}, []string{
			`"push.done" is not an event type`, `"push" is not an event type`, `"push*" is not an event type`, `"*.failed" is not an event type`, `"pull.*" is not an event type`, `"" is not an event type`,
		}},
		{notify.Filter{Events: []string{"*"}, Match: map[string]string{"course": "math-["}}, []string{`match.course = "math-["`}},
	} {
		faults := c.filter.Validate()
		if len(faults) != len(c.want) {
			t.Errorf("%+v.Validate() = %v, want %d faults", c.filter, faults, len(c.want))
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(faults[i].Error(), want) {
				t.Errorf("%+v.Validate() = %v, want %q in fault %d", c.filter, errors.Join(faults...), want, i+1)
			}
		}
	}
}
