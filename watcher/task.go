// Package watcher is the domain: whiteboard pushes in Tencent's cloud, and what is known of
// them.
//
// A [Task] is a push that is registered here. It moves through its [State] values as polls
// of the [Cloud] show it: [Rules] are the state machine, a pure function from a task and an
// [Observation] to the next task and the [Event]s that tell of the change. Both are saved in
// one transaction of a [Store], so that a crash can neither lose nor repeat an event.
//
// There is no goroutine, lock or log here: package engine runs what this package decides.
// Nothing is sent from here either: package notify delivers what is saved.
package watcher

import (
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

// String is the key as it stands in the subject of an event: "1400000001/ghucnligqtgtvk2624mb".
func (k Key) String() string { return strconv.FormatInt(k.SDKAppID, 10) + "/" + k.TaskID }

// State says how far a push has come, as far as it was seen from here.
type State string

// The states of a task. A task moves forward and may skip any of them; only a
// Status that runs backwards, seen twice, takes it from Pushing to Preparing.
const (
	Registered State = "registered" // not yet seen
	Preparing  State = "preparing"  // PREPARED
	Pushing    State = "pushing"    // PUSHING
	Stopped    State = "stopped"    // ended as it should
	Failed     State = "failed"     // ended by a fault
	NotFound   State = "not_found"  // TIW does not know the id
	Abandoned  State = "abandoned"  // it was blind by itself for too long
)

// States lists every state, in the order in which a push passes them.
var States = []State{Registered, Preparing, Pushing, Stopped, Failed, NotFound, Abandoned}

// Ended reports whether s is an end. A task at its end is not polled again.
func (s State) Ended() bool {
	return s == Stopped || s == Failed || s == NotFound || s == Abandoned
}

// The values of Status that the API documents.
const (
	StatusPrepared = "PREPARED"
	StatusPushing  = "PUSHING"
	StatusStopped  = "STOPPED"
)

// FinishException is the FinishReason that makes a stop a failure.
const FinishException = "EXCEPTION"

// Push is what one answer of DescribeWhiteboardPush says. A field is nil where
// the API left it out or answered null, which it may do for every one of them.
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
	Backup         *string `json:"backup"` // raw text; its inner form is not documented
	RequestID      *string `json:"request_id"`
}

// StartedAt is when the push started, as TIW tells it to the second; zero where it
// does not. A nil push tells nothing.
func (p *Push) StartedAt() time.Time {
	if p == nil {
		return time.Time{}
	}
	return secondsTime(p.PushStartTime)
}

// StoppedAt is likewise when the push stopped.
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

// backup is the Backup result, or "" where it holds nothing. What is inside is
// not documented, so nothing more is read into it.
func (p *Push) backup() string {
	if b := value(p.Backup); b != "{}" {
		return b
	}
	return ""
}

// value is what p points to, or zero.
func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// An APIError is an error that the API answered about one task.
type APIError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Shown is what is shown of a task and can change from poll to poll. Null, absent
// and empty are one to it, since the API uses them as it likes, and RequestID is
// left out, since it is new in every answer. It is comparable.
type Shown struct {
	push                                                     bool // there was an answer that described it
	status, finishReason, groupID, pushUserID, backup, error string
	roomID, pushStart, pushStop, exceptions, imSync          int64
}

// Shown returns what is shown of a task.
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

// A Task is a registered push: what was asked for, and what was last known of
// it. It is a value: the state machine takes one and returns the next.
type Task struct {
	Key
	Account string
	State   State
	Labels  map[string]string // never written to after registration: a change makes a new map

	ExpectedStopAt time.Time // zero: not told at registration
	RegisteredAt   time.Time
	EndedAt        time.Time // zero while live

	Version  int64 // rises with every saved change; the store refuses a change of an older one
	Sequence int64 // number of the task's last event; 0: none yet

	Push           *Push     // the last answer that described the push; nil before the first
	Error          *APIError // the last answer, where it was an error
	LastObservedAt time.Time // when the last answer about this task came
	LastPolledAt   time.Time // when the last poll was sent, answered or not

	Memory Memory
}

// Memory is what the state machine must remember of a task beyond what is shown
// of it. It is saved with the task.
type Memory struct {
	Status        string    `json:"status,omitempty"`        // the last Status that was believed
	PreparedSince time.Time `json:"prepared_since,omitzero"` // when PREPARED was first seen
	Started       bool      `json:"started,omitempty"`       // push.started was told
	Stalled       bool      `json:"stalled,omitempty"`       // push.stalled was told
	Overdue       bool      `json:"overdue,omitempty"`       // push.overdue was told
	Exceptions    int64     `json:"exceptions,omitempty"`    // the highest ExceptionCnt that was told
	Backup        string    `json:"backup,omitempty"`        // the last Backup that was not empty
	Blind         *Blind    `json:"blind,omitempty"`         // it is blind by itself; nil: it is not. What it points to is never changed
	Doubt         Doubt     `json:"-"`                       // lost in a crash: then it takes its confirmations again
}

// Alike reports whether what is saved of m and n is the same.
func (m Memory) Alike(n Memory) bool {
	if m.Blind != nil && n.Blind != nil && *m.Blind == *n.Blind {
		m.Blind, n.Blind = nil, nil
	}
	m.Doubt, n.Doubt = Doubt{}, Doubt{}
	return m == n
}

// A Blind says that a push cannot be observed, though its application can.
type Blind struct {
	Since time.Time `json:"since"` // its last good observation, or its registration
	Alone time.Time `json:"alone"` // since when it is known to fail by itself
	Error PollError `json:"error"` // why, when that was reported
}

// A PollError is why the latest polls of a task told nothing.
type PollError struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"` // the first of these polls
}

// A Doubt is an answer that is not believed before it is given again.
type Doubt struct {
	About Doubtful // what was answered
	Seen  uint8    // how many answers in a row said so, of those that count, at most 255
	Next  Tick     // when one counts again
}

// Doubtful is what a [Doubt] may be about.
type Doubtful uint8

// What may be in doubt.
const (
	Nothing   Doubtful = iota
	IsUnknown          // TIW does not know the task
	NoStatus           // the answer has no Status
	Backwards          // a Status that runs backwards
	HasFailed          // the error that says that the push has failed
)

// again counts an answer about what at a time, unless it comes too soon after the one
// counted before, and returns how many in a row have said it.
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

// A Registration asks for a task to be watched.
type Registration struct {
	Key
	ExpectedStopAt time.Time // zero: not known
	Labels         map[string]string
}

// Limits of a registration.
const (
	MaxLabels          = 16
	MaxLabelValueBytes = 256
)

var (
	taskIDPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	labelKeyPattern = regexp.MustCompile(`^[a-z0-9_.-]{1,64}$`)

	// Between these a push may be expected to stop. A time that RFC 3339 cannot show,
	// as the year 10000, could be taken but not be told of.
	firstStop = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastStop  = time.Date(3000, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// ValidTaskID reports whether a text can be the id of a task.
func ValidTaskID(id string) bool { return taskIDPattern.MatchString(id) }

// A FieldError is a fault in one field of a request.
type FieldError struct {
	Field string // such as "task_id" or "labels.course"
	Value any    // what was given
	Want  string // what would be right
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s = %#v: want %s", e.Field, e.Value, e.Want)
}

// beginning is the beginning of a text that is too long to show, cut between characters.
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
