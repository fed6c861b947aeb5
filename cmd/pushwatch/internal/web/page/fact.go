package page

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A fact is an event as it is shown.
type fact struct {
	watcher.RecentEvent
	ID      string
	Subject string
	Data    factData
}

// factData are the data of an event, of whatever type it is.
type factData struct {
	Sequence        int64             `json:"sequence"`
	Account         string            `json:"account"`
	Labels          map[string]string `json:"labels"`
	State           watcher.State     `json:"state"`
	Push            *watcher.Push     `json:"push"`
	Error           *watcher.APIError `json:"error"`
	ExceptionsAdded int64             `json:"exceptions_added"`
	LastObservedAt  time.Time         `json:"last_observed_at"`

	Since     time.Time `json:"since"` // of watcher.*
	Tasks     int       `json:"tasks"`
	Notifier  string    `json:"notifier"`   // of delivery.exhausted and webhook.test
	EventType string    `json:"event_type"` // of delivery.exhausted
	LastError string    `json:"last_error"`
}

// factOf reads an event. One that cannot be read is shown by what the store knows
// of it.
func factOf(e watcher.RecentEvent) fact {
	var envelope struct {
		ID      string   `json:"id"`
		Subject string   `json:"subject"`
		Data    factData `json:"data"`
	}
	_ = json.Unmarshal(e.Body, &envelope) // as far as it can be
	return fact{e, envelope.ID, envelope.Subject, envelope.Data}
}

func factsOf(events []watcher.RecentEvent) []fact {
	facts := make([]fact, len(events))
	for i, e := range events {
		facts[i] = factOf(e)
	}
	return facts
}

// Link is where what the fact is about is shown; empty: nowhere.
func (f fact) Link() string { return subjectLink(f.Subject) }

// subjectLink is where the task of an event's subject is shown; empty where the
// subject is none.
func subjectLink(subject string) string {
	app, id, _ := strings.Cut(subject, "/")
	key := watcher.Key{TaskID: id}
	key.SDKAppID, _ = strconv.ParseInt(app, 10, 64)
	if len((watcher.Registration{Key: key}).Validate()) > 0 {
		return ""
	}
	return "/tasks/" + key.String()
}

// About is the subject as people call it.
func (f fact) About() string { return subjectName(f.Subject) }

// subjectName is an event's subject as people call it: a task by its id alone.
func subjectName(subject string) string {
	if _, id, ok := strings.Cut(subject, "/"); ok && subjectLink(subject) != "" {
		return id
	}
	return subject
}

// Class says for the style how good or bad the news is.
func (f fact) Class() string { return newsClass(f.Type) }

func newsClass(t watcher.EventType) string {
	switch t {
	case watcher.PushFailed, watcher.PushNotFound, watcher.WatcherBlind, watcher.DeliveryExhausted:
		return "bad"
	case watcher.PushException, watcher.PushStalled, watcher.PushOverdue, watcher.PushBackupChanged, watcher.PushChanged:
		return "odd"
	case watcher.PushStopped, watcher.WatcherSighted:
		return "good"
	}
	return "plain"
}

// Detail is what there is to say beyond the type; empty: nothing.
func (f fact) Detail() string {
	d := f.Data
	var push watcher.Push
	if d.Push != nil {
		push = *d.Push
	}
	switch f.Type {
	case watcher.PushException:
		return fmt.Sprintf("%+d, %d in all", d.ExceptionsAdded, value(push.ExceptionCount))
	case watcher.PushStopped, watcher.PushFailed, watcher.PushNotFound:
		return how(d.Push, d.Error)
	case watcher.PushBackupChanged:
		return value(push.Backup)
	case watcher.PushChanged:
		return value(push.Status)
	case watcher.WatcherBlind:
		return plural(d.Tasks, "live push", "live pushes") + ": " + errorText(d.Error)
	case watcher.WatcherSighted:
		return "after " + span(f.At.Sub(d.Since))
	case watcher.DeliveryExhausted:
		return d.EventType + " to " + d.Notifier + ": " + d.LastError
	}
	return ""
}

// how says how a push has ended.
func how(p *watcher.Push, e *watcher.APIError) string {
	switch {
	case e != nil:
		return errorText(e)
	case p == nil || p.Status == nil:
		return "no status told"
	case p.FinishReason == nil:
		return "no reason told"
	}
	return *p.FinishReason
}

func errorText(e *watcher.APIError) string {
	switch {
	case e == nil:
		return ""
	case e.Message == "":
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// value is what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
