package page

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

const (
	// taskEvents is how many events of a task are shown, the newest ones.
	taskEvents = 60
	// taskDeliveries is how many deliveries of its events are shown.
	taskDeliveries = 60
)

// A taskDetail is one task with its events and deliveries.
type taskDetail struct {
	engine.TaskView
	Timeline   timeline
	Events     []event // the oldest first
	Fields     []field
	Deliveries []deliveryRow
	MoreEvents bool // there are older events
}

// EndReason says why the push has ended.
func (t taskDetail) EndReason() string { return endReason(t.Push, t.Error) }

// A field is one field of an observation.
type field struct {
	Name  string // in TIW's answer
	Value string // empty: the answer has none
	Note  string // its unit, or what it means
}

// A deliveryRow is a delivery with its attempts.
type deliveryRow struct {
	notify.Record
	Attempts []notify.Attempt // the oldest first
}

// Tries is how many attempts there were since it was made or last replayed.
func (d deliveryRow) Tries() int { return d.Record.Attempts }

// Link is the address of the task that the event is about; empty: it is about none.
func (d deliveryRow) Link() string { return subjectLink(d.Subject) }

// About is the subject of the event for people.
func (d deliveryRow) About() string { return subjectName(d.Subject) }

// Class is the CSS class of its state.
func (d deliveryRow) Class() string {
	switch {
	case d.State == notify.Dead:
		return "bad"
	case d.State == notify.Delivered:
		return "good"
	case d.LastError != "":
		return "odd"
	}
	return "plain"
}

func (s *site) task(r *http.Request) (view, error) {
	ctx := r.Context()
	key, err := keyOf(r.PathValue("sdk_app_id"), r.PathValue("task_id"))
	if err != nil {
		return view{}, err
	}
	t, err := s.Tasks.Task(ctx, key)
	if err != nil {
		return view{}, err
	}
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Key: key, Limit: taskEvents + 1})
	if err != nil {
		return view{}, err
	}
	part := taskDetail{TaskView: t, Fields: fieldsOf(t.Push)}
	if len(events) > taskEvents {
		events, part.MoreEvents = events[:taskEvents], true
	}
	slices.Reverse(events)
	part.Events = decodeEvents(events)
	part.Timeline = newTimeline(t, part.Events, time.Now())
	records, err := s.Deliveries.Deliveries(ctx, notify.Query{Task: key, Limit: taskDeliveries})
	if err != nil {
		return view{}, err
	}
	ids := make([]notify.DeliveryID, len(records))
	for i, record := range records {
		ids[i] = record.ID
	}
	attempts, err := s.Deliveries.Attempts(ctx, ids)
	if err != nil {
		return view{}, err
	}
	for _, record := range records {
		part.Deliveries = append(part.Deliveries, deliveryRow{record, attempts[record.ID]})
	}
	return view{Name: "task", Title: key.TaskID, Section: "tasks", Subject: key.String(), Data: part}, nil
}

// fieldsOf lists the fields of an observation, in the order of TIW's answer.
func fieldsOf(p *watcher.Push) []field {
	if p == nil {
		return nil
	}
	number := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	second := func(n *int64) string { // of the unix epoch; TIW writes 0 for none
		if value(n) <= 0 {
			return ""
		}
		return time.Unix(*n, 0).UTC().Format("2 Jan 2006 15:04:05 UTC")
	}
	lasted := ""
	if start, stop := value(p.PushStartTime), value(p.PushStopTime); start > 0 && stop >= start {
		lasted = "duration " + span(time.Duration(stop-start)*time.Second)
	}
	note := func(text, more string) string {
		if text == "" || more == "" {
			return text + more
		}
		return text + "; " + more
	}
	return []field{
		{"Status", value(p.Status), ""},
		{"FinishReason", value(p.FinishReason), ""},
		{"ExceptionCnt", number(p.ExceptionCount), "exceptions so far"},
		{"PushStartTime", number(p.PushStartTime), note("unix seconds", second(p.PushStartTime))},
		{"PushStopTime", number(p.PushStopTime), note(note("unix seconds", second(p.PushStopTime)), lasted)},
		{"IMSyncTime", number(p.IMSyncTime), "IM's time of the first frame"},
		{"RoomId", number(p.RoomID), "of the class"},
		{"GroupId", value(p.GroupID), "of the whiteboard's messages"},
		{"PushUserId", value(p.PushUserID), "who pushes"},
		{"Backup", value(p.Backup), "of the backup push, as TIW writes it"},
		{"RequestId", value(p.RequestID), "for Tencent's support"},
	}
}

func (s *site) actOnTask(r *http.Request) (location string, err error) {
	ctx := r.Context()
	key, err := keyOf(r.PathValue("sdk_app_id"), r.PathValue("task_id"))
	if err != nil {
		return "", err
	}
	here := "/tasks/" + key.String()
	switch r.PathValue("action") {
	case "poll":
		return here + "?done=polled", s.Tasks.PollNow(ctx, key)
	case "remove":
		return "/tasks?done=removed", s.Tasks.Remove(ctx, key)
	case "reopen":
		t, err := s.Tasks.Task(ctx, key)
		if err != nil {
			return "", err
		}
		again := watcher.Registration{Key: key, Labels: t.Labels}
		if t.ExpectedStopAt.After(time.Now()) { // a past one has no meaning any more
			again.ExpectedStopAt = t.ExpectedStopAt
		}
		_, err = s.Tasks.Register(ctx, []watcher.Registration{again}, true)
		return here + "?done=reopened", err
	}
	return "", errNoPage
}
