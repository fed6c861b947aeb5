// Package watcher is the domain: whiteboard pushes in Tencent's cloud, and what is known of
// them.
//
// A [Task] is a registered push. Polls of the [Cloud] move it through its [State] values.
// [Rules] are the state machine, a pure function from a task and an [Observation] to the next
// task and the [Event]s that report the change. Both are saved in one transaction of a
// [Store], so that a crash can neither lose nor repeat an event.
//
// This package has no goroutine, lock or log: package engine runs it, and package notify
// delivers the saved events.
package watcher

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Key names a task: a TIW task id within its application.
type Key struct {
	SDKAppID int64
	TaskID   string
}

// String returns the subject of the task's events: "1400000001/ghucnligqtgtvk2624mb".
func (k Key) String() string { return strconv.FormatInt(k.SDKAppID, 10) + "/" + k.TaskID }

// ParseKey reads a key that [Key.String] wrote.
func ParseKey(text string) (Key, error) {
	app, id, _ := strings.Cut(text, "/")
	number, err := strconv.ParseInt(app, 10, 64)
	if err != nil {
		return Key{}, err
	}
	k := Key{number, id}
	return k, errors.Join(Registration{Key: k}.Validate()...)
}

// State is how far a push has come, as observed.
type State string

// The states of a task. A task moves forward and may skip states. It goes back only from
// Pushing to Preparing, when two polls see a Status that runs backwards.
const (
	Registered State = "registered" // not yet observed
	Preparing  State = "preparing"  // PREPARED
	Pushing    State = "pushing"    // PUSHING
	Stopped    State = "stopped"    // ended normally
	Failed     State = "failed"     // ended by a fault
	NotFound   State = "not_found"  // TIW does not know the id
	Abandoned  State = "abandoned"  // blind by itself for too long
)

// States lists every state in order.
var States = []State{Registered, Preparing, Pushing, Stopped, Failed, NotFound, Abandoned}

// Ended reports whether a task in state s has ended. It is not polled again.
func (s State) Ended() bool {
	return s == Stopped || s == Failed || s == NotFound || s == Abandoned
}

// The documented values of Status.
const (
	StatusPrepared = "PREPARED"
	StatusPushing  = "PUSHING"
	StatusStopped  = "STOPPED"
)

// finishException is the FinishReason of a failed push.
const finishException = "EXCEPTION"

// Push is an answer of DescribeWhiteboardPush. A field that is missing or null is nil; the
// API may leave out any of them.
type Push struct {
	Status         *string `json:"status"`
	FinishReason   *string `json:"finish_reason"`
	RoomID         *int64  `json:"room_id"`
	GroupID        *string `json:"group_id"`
	PushUserID     *string `json:"push_user_id"`
	PushStartTime  *int64  `json:"push_start_time"` // unix seconds
	PushStopTime   *int64  `json:"push_stop_time"`  // unix seconds
	ExceptionCount *int64  `json:"exception_count"`
	IMSyncTime     *int64  `json:"im_sync_time"`
	Backup         *string `json:"backup"` // raw text, of undocumented form
	RequestID      *string `json:"request_id"`
}

// StartedAt returns when the push started, in whole seconds by TIW's clock; zero: not known.
// p may be nil.
func (p *Push) StartedAt() time.Time {
	if p == nil {
		return time.Time{}
	}
	return secondsTime(p.PushStartTime)
}

// StoppedAt returns when the push stopped, as StartedAt does.
func (p *Push) StoppedAt() time.Time {
	if p == nil {
		return time.Time{}
	}
	return secondsTime(p.PushStopTime)
}

func secondsTime(unix *int64) time.Time {
	if value(unix) <= 0 {
		return time.Time{}
	}
	return time.Unix(*unix, 0)
}

// backup returns the Backup result; "" if there is none.
func (p *Push) backup() string {
	if b := value(p.Backup); b != "{}" {
		return b
	}
	return ""
}

// value returns *p, or zero if p is nil.
func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// An APIError is an error as tasks and events show it.
type APIError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Shown holds the fields of the latest push description, and the error code, in a comparable
// form. Null, absent and empty are equal, since the API mixes them. RequestID, which differs
// in every answer, and the error's message are left out.
type Shown struct {
	push                                                     bool // Push is set
	status, finishReason, groupID, pushUserID, backup, error string
	roomID, pushStart, pushStop, exceptions, imSync          int64
}

// Shown returns the task's [Shown] fields.
func (t *Task) Shown() Shown {
	var s Shown
	if p := t.Push; p != nil {
		s = Shown{
			push: true, status: value(p.Status), finishReason: value(p.FinishReason), groupID: value(p.GroupID),
			pushUserID: value(p.PushUserID), backup: p.backup(), roomID: value(p.RoomID), pushStart: value(p.PushStartTime),
			pushStop: value(p.PushStopTime), exceptions: value(p.ExceptionCount), imSync: value(p.IMSyncTime),
		}
	}
	if t.Error != nil {
		s.error = t.Error.Code
	}
	return s
}

// A Task is a registered push and its last known state. It is a value: the state machine
// takes one and returns the next.
type Task struct {
	Key
	Account string
	State   State
	Labels  map[string]string // never changed in place

	ExpectedStopAt time.Time // planned end; zero: not known
	RegisteredAt   time.Time
	EndedAt        time.Time // zero while live

	Version  int64 // rises with every saved change, for optimistic locking
	Sequence int64 // number of the last event; 0: none yet

	Push           *Push     // latest description of the push; nil: none yet
	Error          *APIError // latest observation, if that was an error
	LastObservedAt time.Time // when the latest observation came
	LastPolledAt   time.Time // when the latest poll was sent, answered or not

	Memory Memory
}

// Memory is the part of a task that only the state machine uses. It is saved with the task.
type Memory struct {
	Status        string    `json:"status,omitempty"`        // latest Status in effect
	PreparedSince time.Time `json:"prepared_since,omitzero"` // when PREPARED was first seen
	Started       bool      `json:"started,omitempty"`       // push.started was emitted
	Stalled       bool      `json:"stalled,omitempty"`       // push.stalled was emitted
	Overdue       bool      `json:"overdue,omitempty"`       // push.overdue was emitted
	Exceptions    int64     `json:"exceptions,omitempty"`    // highest reported ExceptionCnt
	Backup        string    `json:"backup,omitempty"`        // latest Backup that was not empty
	Blind         *Blind    `json:"blind,omitempty"`         // set while it is blind by itself; never changed in place
	Doubt         Doubt     `json:"-"`                       // lost in a crash: confirmations then start again
}

// Alike reports whether m and n are saved alike.
func (m Memory) Alike(n Memory) bool {
	if m.Blind != nil && n.Blind != nil && *m.Blind == *n.Blind {
		m.Blind, n.Blind = nil, nil
	}
	m.Doubt, n.Doubt = Doubt{}, Doubt{}
	return m == n
}

// A Blind describes a push that is blind by itself: its polls fail while its application is
// visible.
type Blind struct {
	Since time.Time `json:"since"` // the last observation before, or the registration
	Alone time.Time `json:"alone"` // when it became known that only this push fails
	Error PollError `json:"error"` // the cause reported by push.blind
}

// A PollError is why the latest polls of a task observed nothing.
type PollError struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"` // first of these polls
}

// A Doubt is an answer that must be confirmed before it has an effect.
type Doubt struct {
	About Doubtful
	Seen  uint8 // answers in a row that agree, at most 255
	Next  Tick  // when another answer counts
}

// Doubtful is the kind of answer that a [Doubt] is about.
type Doubtful uint8

// The kinds of doubtful answers.
const (
	Nothing   Doubtful = iota
	IsUnknown          // TIW does not know the task
	NoStatus           // the answer has no Status
	Backwards          // the Status runs backwards
	HasFailed          // the error of a failed push
)

// again counts an answer, unless it comes less than apart after the last one counted. It
// returns how many in a row agree.
func (d *Doubt) again(what Doubtful, at Tick, apart time.Duration) int {
	if d.About != what {
		*d = Doubt{About: what, Next: at}
	}
	if at >= d.Next {
		d.Seen = min(d.Seen, math.MaxUint8-1) + 1
		d.Next = at + Tick(apart)
	}
	return int(d.Seen)
}

// A Registration is a request to watch a push.
type Registration struct {
	Key
	ExpectedStopAt time.Time // zero: not known
	Labels         map[string]string
}

// Limits of the labels of a registration.
const (
	MaxLabels          = 16
	MaxLabelValueBytes = 256
)

var (
	taskIDPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	labelKeyPattern = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

	// The bounds of ExpectedStopAt, well within what RFC 3339 can show.
	firstStop = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastStop  = time.Date(3000, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// ValidTaskID reports whether id has the form of a task id.
func ValidTaskID(id string) bool { return taskIDPattern.MatchString(id) }

// A FieldError is an invalid field of a request.
type FieldError struct {
	Field string // such as "task_id" or "labels.course"
	Value any
	Want  string // describes valid values
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s = %#v: want %s", e.Field, e.Value, e.Want)
}

// FieldErrors returns the [*FieldError] values that an error joins.
func FieldErrors(err error) (fields []*FieldError) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, one := range all {
		if field, ok := errors.AsType[*FieldError](one); ok {
			fields = append(fields, field)
		}
	}
	return fields
}

// beginning shortens a text for an error, between characters.
func beginning(text string) string {
	const most = 32
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Validate returns the registration's faults, each a [*FieldError].
func (r Registration) Validate() []error {
	var errs []error
	if r.SDKAppID <= 0 {
		errs = append(errs, &FieldError{"sdk_app_id", r.SDKAppID, "the SdkAppId of a configured application, a positive number"})
	}
	if !ValidTaskID(r.TaskID) {
		errs = append(errs, &FieldError{"task_id", r.TaskID, "1 to 128 of A-Z a-z 0-9 _ -"})
	}
	if at := r.ExpectedStopAt; !at.IsZero() && (at.Before(firstStop) || !at.Before(lastStop)) {
		errs = append(errs, &FieldError{"expected_stop_at", at.Format(time.RFC3339), "a time of the years 2000 to 2999, UTC"})
	}
	if len(r.Labels) > MaxLabels {
		errs = append(errs, &FieldError{"labels", len(r.Labels), fmt.Sprintf("at most %d labels", MaxLabels)})
	}
	for k, v := range r.Labels {
		if !labelKeyPattern.MatchString(k) {
			errs = append(errs, &FieldError{"labels", k, "keys of 1 to 64 of a-z 0-9 _ . -"})
		}
		if len(v) > MaxLabelValueBytes {
			errs = append(errs, &FieldError{"labels." + k, beginning(v), fmt.Sprintf("a value of at most %d bytes", MaxLabelValueBytes)})
		}
		if !utf8.ValidString(v) {
			errs = append(errs, &FieldError{"labels." + k, strings.ToValidUTF8(beginning(v), "�"), "UTF-8"})
		}
	}
	return errs
}
