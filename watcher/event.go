package watcher

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// An EventType is the kind of fact that an event reports.
type EventType string

// The events of one task.
const (
	PushPreparing     EventType = "push.preparing"
	PushStarted       EventType = "push.started"
	PushException     EventType = "push.exception"
	PushStalled       EventType = "push.stalled"
	PushOverdue       EventType = "push.overdue"
	PushBackupChanged EventType = "push.backup_changed"
	PushChanged       EventType = "push.changed"
	PushStopped       EventType = "push.stopped"
	PushFailed        EventType = "push.failed"
	PushNotFound      EventType = "push.not_found"
	PushBlind         EventType = "push.blind"
	PushSighted       EventType = "push.sighted"
	PushAbandoned     EventType = "push.abandoned"
)

// The events of an account or application, and of deliveries.
const (
	WatcherBlind      EventType = "watcher.blind"
	WatcherSighted    EventType = "watcher.sighted"
	DeliveryExhausted EventType = "delivery.exhausted"
	WebhookTest       EventType = "webhook.test"
)

// EventTypes lists every type of event.
var EventTypes = []EventType{
	PushPreparing, PushStarted, PushException, PushStalled, PushOverdue, PushBackupChanged, PushChanged,
	PushStopped, PushFailed, PushNotFound, PushBlind, PushSighted, PushAbandoned, WatcherBlind, WatcherSighted, DeliveryExhausted, WebhookTest,
}

// EventTypesLike returns the types that match a pattern, such as "push.*".
func EventTypesLike(pattern string) (types []EventType) {
	for _, t := range EventTypes {
		if ok, _ := path.Match(pattern, string(t)); ok {
			types = append(types, t)
		}
	}
	return types
}

// An Event is a fact that notifiers receive. The state machine emits it; the engine adds
// Notifiers and Body.
type Event struct {
	ID   string // "msg_…", derived from the fact: the same fact has the same id
	Type EventType
	Key
	Account  string
	Sequence int64 // 1, 2, 3 … within the task
	Labels   map[string]string

	State         State
	PreviousState State
	Push          *Push
	Error         *APIError

	ExceptionsAdded int64     // by how much ExceptionCnt rose
	PreviousStatus  string    // of push.changed: the Status before
	Since           time.Time // of push.blind, push.sighted and push.abandoned: the last observation before, or the registration
	ObservedAt      time.Time // when the answer that shows it came
	LastObservedAt  time.Time // the observation before; zero: none

	Notifiers []string // names of those that receive it
	Body      []byte   // the event as JSON: what is stored, sent and signed
}

// An Envelope is an event as JSON: both a Standard Webhooks payload and a CloudEvents 1.0
// event in structured mode.
type Envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            EventType `json:"type"`
	Subject         string    `json:"subject"`
	Time            Timestamp `json:"time"`
	Timestamp       Timestamp `json:"timestamp"` // the same, as Standard Webhooks names it
	DataContentType string    `json:"datacontenttype"`
	Data            any       `json:"data"`
}

// NewEnvelope returns the envelope of an event's data. instance names the installation.
func NewEnvelope(instance, id string, kind EventType, subject string, at time.Time, data any) Envelope {
	return Envelope{
		SpecVersion: "1.0", ID: id, Source: "urn:pushwatch:" + instance, Type: kind, Subject: subject,
		Time: Timestamp{at}, Timestamp: Timestamp{at}, DataContentType: "application/json", Data: data,
	}
}

// TaskData is the data of an event of one task.
type TaskData struct {
	Sequence        int64             `json:"sequence"`
	Account         string            `json:"account"`
	SDKAppID        int64             `json:"sdk_app_id"`
	TaskID          string            `json:"task_id"`
	Labels          map[string]string `json:"labels"`
	State           State             `json:"state"`
	PreviousState   State             `json:"previous_state"`
	Push            *Push             `json:"push"`
	Error           *APIError         `json:"error"`
	ExceptionsAdded int64             `json:"exceptions_added"`
	PreviousStatus  string            `json:"previous_status,omitempty"` // of push.changed
	Since           *Timestamp        `json:"since,omitempty"`           // of push.blind, push.sighted and push.abandoned
	ObservedAt      Timestamp         `json:"observed_at"`
	LastObservedAt  Timestamp         `json:"last_observed_at"`
}

// Encode returns the event as JSON.
func (e *Event) Encode(instance string) []byte {
	labels := e.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	data := TaskData{
		Sequence: e.Sequence, Account: e.Account, SDKAppID: e.SDKAppID, TaskID: e.TaskID, Labels: labels,
		State: e.State, PreviousState: e.PreviousState, Push: e.Push, Error: e.Error,
		ExceptionsAdded: e.ExceptionsAdded,
		PreviousStatus:  e.PreviousStatus,
		ObservedAt:      Timestamp{e.ObservedAt}, LastObservedAt: Timestamp{e.LastObservedAt},
	}
	if !e.Since.IsZero() {
		data.Since = &Timestamp{e.Since}
	}
	return NewEnvelope(instance, e.ID, e.Type, e.Key.String(), e.ObservedAt, data).Encode()
}

// OutageData is the data of [WatcherBlind] and [WatcherSighted].
type OutageData struct {
	Account  string    `json:"account"`
	SDKAppID *int64    `json:"sdk_app_id"` // null: the whole account
	Error    *APIError `json:"error"`      // the cause; null once sighted
	Since    Timestamp `json:"since"`      // when the outage began
	Tasks    int       `json:"tasks"`      // affected live tasks
}

// NewOutageEvent returns a [WatcherBlind] or [WatcherSighted] event.
func NewOutageEvent(kind EventType, instance string, at time.Time, data OutageData) Event {
	subject := data.Account
	if data.SDKAppID != nil {
		subject += "/" + strconv.FormatInt(*data.SDKAppID, 10)
	}
	id := FactID(fmt.Sprintf("%s|%s|%s|%d", kind, instance, subject, data.Since.UnixMicro()))
	return Event{
		ID: id, Type: kind, Account: data.Account, ObservedAt: at,
		Body: NewEnvelope(instance, id, kind, subject, at, data).Encode(),
	}
}

// Encode returns the envelope as one line of JSON, without HTML escapes.
func (e Envelope) Encode() []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(fmt.Sprintf("encode event %s: %v", e.ID, err)) // no type in it can fail
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// A Timestamp is a time in the JSON of the API and events: RFC 3339 in UTC with
// microseconds; null for the zero time.
type Timestamp struct{ time.Time }

const timestampLayout = "2006-01-02T15:04:05.000000Z"

// MarshalJSON implements [json.Marshaler].
func (t Timestamp) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().AppendFormat(nil, `"`+timestampLayout+`"`), nil
}

// eventID returns the id of an event: a hash of the task, its registration, the event's
// number and the observation. An observation that a crash lost before it was saved gives the
// same id when it is made again. If a database lost its last commits and something else is
// observed, the id differs.
func eventID(t *Task, e *Event) string {
	var fact strings.Builder
	fmt.Fprintf(&fact, "%s|%d|%d|%s|%s|", t.Key, t.RegisteredAt.UnixMilli(), e.Sequence, e.Type, e.State)
	if p := e.Push; p != nil {
		fmt.Fprintf(&fact, "%s|%s|%d|%d|%d|%q|", value(p.Status), value(p.FinishReason), value(p.PushStartTime),
			value(p.PushStopTime), value(p.ExceptionCount), value(p.Backup))
	}
	if e.Error != nil {
		fact.WriteString(e.Error.Code)
	}
	return FactID(fact.String())
}

// FactID returns the id of the event that reports a fact.
func FactID(fact string) string {
	sum := sha256.Sum256([]byte(fact))
	return "msg_" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:]))[:26]
}

// EventsCounter returns the metric pushwatch_events_total, registered with r on the first
// call. Every saver of events counts them there.
func EventsCounter(r prometheus.Registerer) *prometheus.CounterVec {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pushwatch_events_total", Help: "Events saved, by type.",
	}, []string{"type"})
	if err := r.Register(events); err != nil {
		before, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			panic(err) // another metric has the name
		}
		return before.ExistingCollector.(*prometheus.CounterVec)
	}
	for _, kind := range EventTypes {
		events.WithLabelValues(string(kind))
	}
	return events
}
