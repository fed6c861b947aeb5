package chat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pushwatch/watcher"
)

// maxForeign is how many bytes are shown of a text that users or the API supply.
const maxForeign = 300

// An event is the data of the text templates. Its methods return what is known, escaped
// for the service; the zero value if it is not known.
type event struct {
	content
	language *language
	style    *style
	most     int // how many bytes of a foreign text are shown
}

// content is the part of an event's JSON that the texts use.
type content struct {
	Type    watcher.EventType `json:"type"`
	Source  string            `json:"source"`
	Subject string            `json:"subject"`
	Time    watcher.Timestamp `json:"time"`
	Data    struct {
		watcher.TaskData

		// Of push.blind, push.sighted, push.abandoned and watcher.*
		Since watcher.Timestamp `json:"since"`
		Tasks int64             `json:"tasks"`

		// Of delivery.exhausted
		Notifier  string            `json:"notifier"`
		EventID   string            `json:"event_id"`
		EventType watcher.EventType `json:"event_type"`
		Attempts  int64             `json:"attempts"`
		LastError string            `json:"last_error"`
	} `json:"data"`
}

func readEvent(body []byte, l *language, s *style, most int) (*event, error) {
	e := &event{language: l, style: s, most: most}
	if err := json.Unmarshal(body, &e.content); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if e.Data.Push == nil {
		e.Data.Push = &watcher.Push{}
	}
	return e, nil
}

// Class names what the task is for: its label "class" or "course".
func (e *event) Class() string {
	return e.foreign(cmp.Or(e.Data.Labels["class"], e.Data.Labels["course"]))
}

// TaskID is the id of the push.
func (e *event) TaskID() string { return e.foreign(e.Data.TaskID) }

// About is the event's subject, such as application and id of the push.
func (e *event) About() string { return e.foreign(e.Subject) }

// Account is the account that the event is about.
func (e *event) Account() string { return e.foreign(e.Data.Account) }

// Instance names the installation that reports the event.
func (e *event) Instance() string {
	return e.foreign(strings.TrimPrefix(e.Source, "urn:pushwatch:"))
}

// SeenAt is when a task's event was observed.
func (e *event) SeenAt() string { return clock(e.Data.ObservedAt.Time) }

// SinceStart is the time from the push's start to the observation; only for push.started.
func (e *event) SinceStart() string {
	if e.Type != watcher.PushStarted {
		return ""
	}
	return e.ago(e.Data.Push.StartedAt())
}

// SinceEnd is the time from the push's end to the observation; only for push.stopped and
// push.failed.
func (e *event) SinceEnd() string {
	if e.Type != watcher.PushStopped && e.Type != watcher.PushFailed {
		return ""
	}
	return e.ago(e.Data.Push.StoppedAt())
}

// SinceLastPoll is the time from the previous observation to this one.
func (e *event) SinceLastPoll() string {
	if e.Data.LastObservedAt.IsZero() {
		return ""
	}
	return e.span(e.Data.ObservedAt.Sub(e.Data.LastObservedAt.Time))
}

func (e *event) ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return e.span(max(0, e.Data.ObservedAt.Sub(t)))
}

// StartedAt is when the push began.
func (e *event) StartedAt() string { return clock(e.Data.Push.StartedAt()) }

// A run is the start, end and duration of a push.
type run struct{ From, To, For string }

// Ran is the run of the push, once start and end are known.
func (e *event) Ran() *run {
	start, stop := e.Data.Push.StartedAt(), e.Data.Push.StoppedAt()
	if start.IsZero() || stop.IsZero() {
		return nil
	}
	return &run{clock(start), clock(stop), e.span(stop.Sub(start))}
}

// Exceptions is how many exceptions the push has had.
func (e *event) Exceptions() int64 {
	if n := e.Data.Push.ExceptionCount; n != nil {
		return *n
	}
	return 0
}

// Status is the API's status of the push.
func (e *event) Status() string { return e.word(e.Data.Push.Status) }

// OldStatus is the API's previous status of the push. If the event does not name it, it
// follows from the previous state.
func (e *event) OldStatus() string {
	if status := e.Data.PreviousStatus; status != "" {
		return e.foreign(status)
	}
	switch e.Data.PreviousState {
	case watcher.Preparing:
		return watcher.StatusPrepared
	case watcher.Pushing:
		return watcher.StatusPushing
	}
	return ""
}

// Backup is the API's result of the backup push.
func (e *event) Backup() string { return e.word(e.Data.Push.Backup) }

// FinishReason is the API's reason for the end of the push.
func (e *event) FinishReason() string { return e.word(e.Data.Push.FinishReason) }

// Fault is the API's error: its code and message.
func (e *event) Fault() string {
	if e.Data.Error == nil {
		return ""
	}
	code, message := e.Data.Error.Code, sentence(e.Data.Error.Message)
	if !codePattern.MatchString(code) {
		return e.foreign(sentence(code + ": " + message))
	}
	if message == "" {
		return code
	}
	return code + ": " + e.foreign(message)
}

// Since is when the push, application or account was last observed.
func (e *event) Since() string { return clock(e.Data.Since.Time) }

// BlindFor is the time from the last observation to this event.
func (e *event) BlindFor() string { return e.span(e.Time.Sub(e.Data.Since.Time)) }

// Notifier is the notifier that did not get an event.
func (e *event) Notifier() string { return e.foreign(e.Data.Notifier) }

// EventType is the type of the event that was not delivered.
func (e *event) EventType() string { return e.style.own(string(e.Data.EventType)) }

// EventID is the id of the event that was not delivered.
func (e *event) EventID() string { return e.foreign(e.Data.EventID) }

// LastError is why the last attempt of a delivery failed.
func (e *event) LastError() string { return e.foreign(sentence(e.Data.LastError)) }

// clock formats a time with its date, because people may read the text later; "" if it is
// not known.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// span formats a duration as precisely as people need: "1h30m", "45s", "6.1s".
func (e *event) span(d time.Duration) string {
	precision := 100 * time.Millisecond
	if d >= 10*time.Second {
		precision = time.Second
	}
	d = d.Round(precision)
	var text string
	if h := int64(d / time.Hour); h > 0 {
		text += strconv.FormatInt(h, 10) + e.language.units[0]
	}
	if m := int64(d % time.Hour / time.Minute); m > 0 {
		text += strconv.FormatInt(m, 10) + e.language.units[1]
	}
	if s := (d % time.Minute).Seconds(); s > 0 || text == "" {
		text += strconv.FormatFloat(s, 'f', -1, 64) + e.language.units[2]
	}
	return text
}

func (e *event) word(s *string) string {
	if s == nil {
		return ""
	}
	return e.foreign(*s)
}

// foreign turns text that users or the API supply into one short line that the service shows
// literally: nothing in it is markup, a link or a mention.
func (e *event) foreign(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	for more := ""; ; more = "…" {
		escaped := e.style.escape(s[:min(len(s), e.most+1)]) // escaping never shortens
		if len(s) <= e.most && len(escaped) <= e.most {
			return escaped + more
		}
		keep := min(e.most, len(s)*e.most/len(escaped), len(s)-1) // an estimate: as if all characters escaped alike
		if s = strings.ToValidUTF8(s[:keep], ""); s == "" {
			return "…"
		}
	}
}

// sentence removes the punctuation at the end of a text from elsewhere.
func sentence(s string) string { return strings.TrimRight(s, ".: \n") }
