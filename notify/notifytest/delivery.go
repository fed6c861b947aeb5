package notifytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Delivery is one received webhook request, however it was answered.
type Delivery struct {
	// At is when its body had arrived.
	At time.Time
	// ID is its webhook-id.
	ID string
	// Attempt is its webhook-attempt, counted from 1; 0 if it has none.
	Attempt int
	// Verified: one of the receiver's keys signed it, within [signing.Tolerance].
	Verified bool
	// Err is its fault: of the signature, if the receiver has keys, or else of the
	// body, which must be an event with the same id as the header.
	Err error

	Header http.Header
	Body   []byte
	// Event is the decoded body; trust it only if Verified is set.
	Event Event
}

// Event is the envelope of an event, with the task of its data.
type Event struct {
	ID      string          `json:"id"`
	Source  string          `json:"source"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"` // the task, as sdk_app_id/task_id
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`

	// From Data; each is zero in an event that belongs to no task.
	SDKAppID int64  `json:"-"`
	TaskID   string `json:"-"`
	Sequence int64  `json:"-"` // counts the task's events from 1
}

func decodeEvent(body []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	if e.Type == "" || len(e.Data) == 0 {
		return e, errors.New("read event: no type or no data")
	}
	var data struct {
		SDKAppID int64  `json:"sdk_app_id"`
		TaskID   string `json:"task_id"`
		Sequence int64  `json:"sequence"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return e, fmt.Errorf("read event: data: %w", err)
	}
	e.SDKAppID, e.TaskID, e.Sequence = data.SDKAppID, data.TaskID, data.Sequence
	return e, nil
}
