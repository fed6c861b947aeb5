package api

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A FrozenEvent is an [Event] as the bytes that were saved and are sent.
type FrozenEvent json.RawMessage

// MarshalJSON implements [json.Marshaler].
func (e FrozenEvent) MarshalJSON() ([]byte, error) { return json.RawMessage(e).MarshalJSON() }

// Schema implements [huma.SchemaProvider].
func (FrozenEvent) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[Event](), true, "Event")
}

// Events is a page of events.
type Events struct {
	Events []FrozenEvent `json:"events" doc:"Oldest first: within an account in the order of commits, and across accounts by time as far as that order allows."`
	Cursor string        `json:"cursor" doc:"The value of after for the next page. Also set for an empty page, which means that there are no more events yet." example:"AQEq"`
}

// An Event is both a CloudEvents 1.0 event in structured mode and a Standard Webhooks
// payload. Fields may be added.
type Event struct {
	_ struct{} `additionalProperties:"true"`

	SpecVersion     string    `json:"specversion" enum:"1.0" doc:"Version of CloudEvents."`
	ID              string    `json:"id" pattern:"^msg_[A-Za-z0-9_-]{1,60}$" doc:"The same in all webhooks and API answers; the webhook-id of its webhooks." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Source          string    `json:"source" doc:"The installation: urn:pushwatch: and the settings' instance." example:"urn:pushwatch:classroom-sg-1"`
	Type            string    `json:"type" enum:"push.preparing,push.started,push.exception,push.stalled,push.overdue,push.backup_changed,push.changed,push.stopped,push.failed,push.not_found,push.blind,push.sighted,push.abandoned,watcher.blind,watcher.sighted,delivery.exhausted,webhook.test" doc:"What happened. Types may be added."`
	Subject         string    `json:"subject" doc:"What it concerns: {sdk_app_id}/{task_id} for a task; the account or application for watcher.*." example:"1400000001/ghucnligqtgtvk2624mb"`
	Time            time.Time `json:"time" doc:"When the watcher observed it, in UTC with microseconds." example:"2026-11-22T18:16:05.123456Z"`
	Timestamp       time.Time `json:"timestamp" doc:"The same as time, under its name in Standard Webhooks." example:"2026-11-22T18:16:05.123456Z"`
	DataContentType string    `json:"datacontenttype" enum:"application/json"`
	Data            EventData `json:"data"`
}

// EventData is a [TaskEventData], a [WatcherEventData], or the data of another event type.
type EventData struct{ json.RawMessage }

// Schema implements [huma.SchemaProvider].
func (EventData) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "TaskEventData for push.*, WatcherEventData for watcher.*; other types have data of their own.",
		AnyOf: []*huma.Schema{
			r.Schema(reflect.TypeFor[TaskEventData](), true, "TaskEventData"),
			r.Schema(reflect.TypeFor[WatcherEventData](), true, "WatcherEventData"),
			{Type: huma.TypeObject},
		},
	}
}

// TaskEventData is the data of a push.* event. Fields may be added.
type TaskEventData struct {
	_ struct{} `additionalProperties:"true"`

	Sequence        int64             `json:"sequence" minimum:"1" doc:"1, 2, 3 … within the task, without a gap." example:"2"`
	Account         string            `json:"account" doc:"The account that watches it." example:"school"`
	SDKAppID        int64             `json:"sdk_app_id" example:"1400000001"`
	TaskID          string            `json:"task_id" example:"ghucnligqtgtvk2624mb"`
	Labels          map[string]string `json:"labels" doc:"The labels of its registration." example:"{\"course\":\"math-3b\"}"`
	State           string            `json:"state" enum:"registered,preparing,pushing,stopped,failed,not_found,abandoned" doc:"The task's state after the event."`
	PreviousState   string            `json:"previous_state" enum:"registered,preparing,pushing,stopped,failed,not_found,abandoned" doc:"The task's state before the event."`
	Push            *Push             `json:"push" doc:"The API's last observation of the push; null: there is none, only an error."`
	Error           *CloudError       `json:"error" doc:"The API's error; null: it answered without one."`
	ExceptionsAdded int64             `json:"exceptions_added" minimum:"0" doc:"By how much ExceptionCnt rose since the previous event." example:"0"`
	PreviousStatus  string            `json:"previous_status,omitempty" doc:"For push.changed: the previous Status."`
	Since           *time.Time        `json:"since,omitempty" doc:"For push.blind, push.sighted and push.abandoned: the time of the last observation before, or of the registration."`
	ObservedAt      time.Time         `json:"observed_at" doc:"When the API's answer arrived." example:"2026-11-22T18:16:05.123456Z"`
	LastObservedAt  *time.Time        `json:"last_observed_at" doc:"When the previous answer arrived: the change happened between the two; null: there was none." example:"2026-11-22T18:16:02Z"`
}

// WatcherEventData is the data of a watcher.* event. Fields may be added.
type WatcherEventData struct {
	_ struct{} `additionalProperties:"true"`

	Account  string      `json:"account" example:"school"`
	SDKAppID *int64      `json:"sdk_app_id" doc:"The application; null: the whole account." example:"1400000001"`
	Error    *CloudError `json:"error" doc:"Why it cannot be observed; null in watcher.sighted."`
	Since    time.Time   `json:"since" doc:"Since when it could not be observed." example:"2026-11-22T18:16:05.123456Z"`
	Tasks    int         `json:"tasks" minimum:"0" doc:"How many live tasks it concerns." example:"120"`
}
