package page

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	// taskEvents is how many events of a task are shown, the newest of them.
	taskEvents = 60
	// taskDeliveries is how many deliveries of its events are.
	taskDeliveries = 60
)

// A taskPart is one task.
type taskPart struct {
	watcher.TaskView
	Timeline   timeline
	Facts      []fact // the oldest first
	Fields     []field
	Deliveries []deliveryPart
	MoreEvents bool // there are older ones
}

// How says how the push has ended.
func (t taskPart) How() string { return how(t.Push, t.Error) }

// A field is one of those of an observation.
type field struct {
	Name  string // in TIW's answer
	Value string // empty: the answer did not have it
	Note  string // its unit, or what it means
}

// A deliveryPart is a delivery with its attempts.
type deliveryPart struct {
	notify.Record
	Attempts []notify.Attempt // the oldest first
}

// Tries is how many attempts there were since it was made or last replayed.
func (d deliveryPart) Tries() int { return d.Record.Attempts }

// Link is where the task that it tells of is shown; empty: it tells of none.
func (d deliveryPart) Link() string { return subjectLink(d.Subject) }

// About is the subject of its event as people call it.
func (d deliveryPart) About() string { return subjectName(d.Subject) }

// Class says for the style how it stands.
func (d deliveryPart) Class() string {
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
	part := taskPart{TaskView: t, Fields: fieldsOf(t.Push)}
	if len(events) > taskEvents {
		events, part.MoreEvents = events[:taskEvents], true
	}
	slices.Reverse(events)
	part.Facts = factsOf(events)
	part.Timeline = chronicle(t, part.Facts, time.Now())
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
		part.Deliveries = append(part.Deliveries, deliveryPart{record, attempts[record.ID]})
	}
	return view{Name: "task", Title: key.TaskID, Section: "tasks", Subject: key.String(), Data: part}, nil
}

// fieldsOf lists what an observation says, in the order of TIW's answer.
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
		lasted = "it lasted " + span(time.Duration(stop-start)*time.Second)
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
		{"RequestId", value(p.RequestID), "to name to Tencent's support"},
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
		if t.ExpectedStopAt.After(time.Now()) { // one that is past says nothing of what comes
			again.ExpectedStopAt = t.ExpectedStopAt
		}
		_, _, err = s.Tasks.Register(ctx, []watcher.Registration{again}, true)
		return here + "?done=reopened", err
	}
	return "", errNoPage
}
