package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pushwatch/watcher"
)

// An event is a saved event with its body decoded.
type event struct {
	watcher.RecentEvent
	ID      string
	Subject string
	Data    eventData
}

// eventData are the data of an event of any type.
type eventData struct {
	Sequence        int64             `json:"sequence"`
	Account         string            `json:"account"`
	Labels          map[string]string `json:"labels"`
	State           watcher.State     `json:"state"`
	Push            *watcher.Push     `json:"push"`
	Error           *watcher.APIError `json:"error"`
	ExceptionsAdded int64             `json:"exceptions_added"`
	PreviousStatus  string            `json:"previous_status"`
	LastObservedAt  time.Time         `json:"last_observed_at"`

	Since     time.Time `json:"since"` // of watcher.* and the blindness of a push
	Tasks     int       `json:"tasks"`
	Notifier  string    `json:"notifier"`   // of delivery.exhausted and webhook.test
	EventType string    `json:"event_type"` // of delivery.exhausted
	LastError string    `json:"last_error"`
}

// decodeEvent decodes an event. Of a body that cannot be decoded it keeps what the store
// knows beside it.
func decodeEvent(e watcher.RecentEvent) event {
	var envelope struct {
		ID      string    `json:"id"`
		Subject string    `json:"subject"`
		Data    eventData `json:"data"`
	}
	_ = json.Unmarshal(e.Body, &envelope) // fields that were decoded are shown
	return event{e, envelope.ID, envelope.Subject, envelope.Data}
}

func decodeEvents(saved []watcher.RecentEvent) []event {
	events := make([]event, len(saved))
	for i, e := range saved {
		events[i] = decodeEvent(e)
	}
	return events
}

// subjectLink is the address of the task that an event's subject names; empty: it names
// none.
func subjectLink(subject string) string {
	key, err := watcher.ParseKey(subject)
	if err != nil {
		return ""
	}
	return "/tasks/" + key.String()
}

// subjectName is an event's subject for people: of a task its id alone.
func subjectName(subject string) string {
	if _, id, ok := strings.Cut(subject, "/"); ok && subjectLink(subject) != "" {
		return id
	}
	return subject
}

// typeName says in words what events of a type report; empty: it is no type.
func (l *locale) typeName(t any) string {
	id := "event_type." + fmt.Sprint(t)
	if name := l.plain(id); name != id {
		return name
	}
	return ""
}

// Class is the CSS class of the event: "bad", "odd", "good" or "plain".
func (e event) Class() string {
	switch e.Type {
	case watcher.PushFailed, watcher.PushNotFound, watcher.PushBlind, watcher.PushAbandoned, watcher.WatcherBlind, watcher.DeliveryExhausted:
		return "bad"
	case watcher.PushException, watcher.PushStalled, watcher.PushOverdue, watcher.PushBackupChanged, watcher.PushChanged:
		return "odd"
	case watcher.PushStopped, watcher.PushSighted, watcher.WatcherSighted:
		return "good"
	}
	return "plain"
}

// Detail is what the event says beyond its type and subject: a message, or a text; nil or
// empty: nothing.
func (e event) Detail() any {
	d := e.Data
	var push watcher.Push
	if d.Push != nil {
		push = *d.Push
	}
	switch e.Type {
	case watcher.PushException:
		return say("event.exception", "Added", int(d.ExceptionsAdded), "Total", int(value(push.ExceptionCount)))
	case watcher.PushStopped, watcher.PushFailed, watcher.PushNotFound:
		return endReason(d.Push, d.Error)
	case watcher.PushBackupChanged:
		return value(push.Backup)
	case watcher.PushChanged:
		if d.PreviousStatus != "" {
			return say("event.changed", "From", d.PreviousStatus, "To", value(push.Status))
		}
		return value(push.Status)
	case watcher.PushBlind, watcher.PushAbandoned:
		return say("event.push_blind", "Time", d.Since, "Error", errorText(d.Error))
	case watcher.WatcherBlind:
		return say("event.blind", "N", d.Tasks, "Error", errorText(d.Error))
	case watcher.WatcherSighted, watcher.PushSighted:
		return say("event.sighted", "Span", e.At.Sub(d.Since))
	case watcher.DeliveryExhausted:
		return say("event.exhausted", "Type", d.EventType, "Notifier", d.Notifier, "Error", foreign(d.LastError))
	}
	return nil
}

// EndReason says why a task has ended: a message, or a text.
func (t taskRow) EndReason() any {
	if b := t.Memory.Blind; t.State == watcher.Abandoned && b != nil {
		return say("event.push_blind", "Time", b.Since, "Error", errorText(&watcher.APIError{Code: b.Error.Code, Message: b.Error.Message}))
	}
	return endReason(t.Push, t.Error)
}

// endReason says why a push has ended: a message, or a text.
func endReason(p *watcher.Push, e *watcher.APIError) any {
	switch {
	case e != nil:
		return errorText(e)
	case p == nil || p.Status == nil:
		return say("event.no_status")
	case p.FinishReason == nil:
		return say("event.no_reason")
	}
	return *p.FinishReason
}

func errorText(e *watcher.APIError) foreign {
	switch {
	case e == nil:
		return ""
	case e.Message == "":
		return foreign(e.Code)
	}
	return foreign(e.Code + ": " + e.Message)
}

// value is what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
