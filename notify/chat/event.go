package chat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

// maxForeign is how much is shown of a text from elsewhere, in bytes.
const maxForeign = 300

// An event is what the texts are made of: the event as JSON, as far as they use
// it. Its methods put what is known into words; those of unknown things return
// nothing.
type event struct {
	Type    watcher.EventType `json:"type"`
	Source  string            `json:"source"`
	Subject string            `json:"subject"`
	Time    watcher.Timestamp `json:"time"`
	Data    struct {
		watcher.TaskData

		// Of watcher.*
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

// text puts an event into words.
func text(body []byte) (string, error) {
	e := &event{}
	if err := json.Unmarshal(body, e); err != nil {
		return "", fmt.Errorf("read event: %w", err)
	}
	if e.Data.Push == nil {
		e.Data.Push = &watcher.Push{}
	}
	var message strings.Builder
	if err := texts.ExecuteTemplate(&message, string(e.Type), e); err != nil {
		return "", fmt.Errorf("put event into words: %w", err)
	}
	return message.String(), nil
}

// Class names what the task is for: its label "class" or "course", else the task
// itself.
func (e *event) Class() string {
	labels := e.Data.Labels
	return clean(cmp.Or(labels["class"], labels["course"], "task "+e.Data.TaskID))
}

// Scope names what a watcher.* event is about.
func (e *event) Scope() string {
	if e.Data.SDKAppID != 0 {
		return fmt.Sprintf("Application %d of account %s", e.Data.SDKAppID, e.Data.Account)
	}
	return "Account " + e.Data.Account
}

// Instance names the installation that tells.
func (e *event) Instance() string {
	return "pushwatch " + strings.TrimPrefix(e.Source, "urn:pushwatch:")
}

// Seen says when a task's event was noticed, and how late that may have been.
func (e *event) Seen() string {
	at := e.Data.ObservedAt.Time
	words := "Seen at " + clock(e.Data.ObservedAt)
	happened, what := (*int64)(nil), ""
	switch e.Type {
	case watcher.PushStarted:
		happened, what = e.Data.Push.PushStartTime, "its start"
	case watcher.PushStopped, watcher.PushFailed:
		happened, what = e.Data.Push.PushStopTime, "its end"
	}
	switch {
	case happened != nil && *happened > 0:
		return words + ", " + span(max(0, at.Sub(time.Unix(*happened, 0)))) + " after " + what
	case !e.Data.LastObservedAt.IsZero():
		return words + ", " + span(at.Sub(e.Data.LastObservedAt.Time)) + " after the look before"
	}
	return words + ", at the first look"
}

// StartedAt is when the push began.
func (e *event) StartedAt() string { return unix(e.Data.Push.PushStartTime) }

// Ran says from when to when the push ran, once both are known.
func (e *event) Ran() string {
	start, stop := e.Data.Push.PushStartTime, e.Data.Push.PushStopTime
	if unix(start) == "" || unix(stop) == "" {
		return ""
	}
	return fmt.Sprintf("from %s to %s, for %s", unix(start), unix(stop), span(time.Duration(*stop-*start)*time.Second))
}

// Exceptions is how many exceptions the push has had.
func (e *event) Exceptions() int64 {
	if n := e.Data.Push.ExceptionCount; n != nil {
		return *n
	}
	return 0
}

// Status is the API's word for where the push is.
func (e *event) Status() string { return word(e.Data.Push.Status) }

// Backup is what the API says of the backup push.
func (e *event) Backup() string { return word(e.Data.Push.Backup) }

// FinishReason is the API's word for why the push ended.
func (e *event) FinishReason() string {
	if reason := word(e.Data.Push.FinishReason); reason != "" {
		return "finish reason " + reason
	}
	return ""
}

// Fault is the API's error: its code and message.
func (e *event) Fault() string {
	if e.Data.Error == nil {
		return ""
	}
	return sentence(e.Data.Error.Code + ": " + e.Data.Error.Message)
}

// LastError is why the last attempt of a delivery failed.
func (e *event) LastError() string { return sentence(e.Data.LastError) }

// Blind is how long an account or application could not be observed.
func (e *event) Blind() string { return span(e.Time.Sub(e.Data.Since.Time)) }

// clock shows a time to the second, with its day, since people read late.
func clock(t watcher.Timestamp) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func unix(seconds *int64) string {
	if seconds == nil || *seconds <= 0 {
		return ""
	}
	return clock(watcher.Timestamp{Time: time.Unix(*seconds, 0)})
}

// span shows a duration as coarse as people need it.
func span(d time.Duration) string {
	precision := 100 * time.Millisecond
	if d >= 10*time.Second {
		precision = time.Second
	}
	return setting.Duration(d.Round(precision)).String()
}

func word(s *string) string {
	if s == nil {
		return ""
	}
	return clean(*s)
}

// sentence is a text from elsewhere without what ends it.
func sentence(s string) string { return strings.TrimRight(clean(s), ".: ") }

// harmless breaks what chat services take for a mention of people or of a whole room,
// "@everyone" or "<!channel>", by a character without width.
var harmless = strings.NewReplacer("@", "@\u200b", "<", "<\u200b")

// clean makes one short, harmless line of a text from elsewhere.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign], "") + "…"
	}
	return harmless.Replace(s)
}
