package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// Exhausted is the data of a delivery.exhausted event: an event was given up for
// a notifier and lies in dead letter now.
type Exhausted struct {
	Account   string            `json:"account"`
	Notifier  string            `json:"notifier"`
	Gone      bool              `json:"gone"` // all of the notifier's deliveries are given up: it answered 410 to this one
	EventID   string            `json:"event_id"`
	EventType watcher.EventType `json:"event_type"`
	Subject   string            `json:"subject"`
	Attempts  int               `json:"attempts"`
	LastError string            `json:"last_error"`
}

// exhausted makes the event that tells of a delivery given up. Its id follows
// from the delivery and its last replay, so that giving up the same again after
// a crash tells nothing new.
func (d *Dispatcher) exhausted(given *Delivery, o *Outcome, gone *Standing) *watcher.Event {
	fact := fmt.Sprintf("exhausted|%s|%s|%d", given.Notifier, given.EventID, given.Since.UnixMicro())
	subject := given.Subject
	if gone != nil {
		fact, subject = fmt.Sprintf("gone|%s|%d", gone.Notifier, gone.Version), given.Notifier
	}
	at := o.Attempt.At.Add(o.Attempt.Duration)
	return d.event(watcher.DeliveryExhausted, watcher.FactID(fact), subject, given.Account, at, d.toldOf(given.Notifier), Exhausted{
		Account: given.Account, Notifier: given.Notifier, Gone: gone != nil, EventID: given.EventID, EventType: given.Type,
		Subject: given.Subject, Attempts: o.Attempts, LastError: o.Attempt.Error,
	})
}

// event makes an event of no task.
func (d *Dispatcher) event(kind watcher.EventType, id, subject, account string, at time.Time, notifiers []string, data any) *watcher.Event {
	return &watcher.Event{
		ID: id, Type: kind, Account: account, ObservedAt: at, Notifiers: notifiers,
		Body: watcher.NewEnvelope(d.instance, id, kind, subject, at, data).Encode(),
	}
}

// An exhauster makes the event that tells of a delivery given up, nil for none. A
// standing is given where the notifier itself is gone.
type exhauster func(*Delivery, *Outcome, *Standing) *watcher.Event

// toldOf names who is told that a notifier gave something up: its fallback,
// whatever that one's own events, and every log.
func (d *Dispatcher) toldOf(notifier string) []string {
	var names []string
	if c := d.roster.named(notifier); c != nil && c.now().Fallback != "" {
		names = append(names, c.now().Fallback)
	}
	for _, c := range d.roster.all() {
		if c.now().Type == "log" && c.Name != notifier && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

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
