package page

import (
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	// taskEvents is how many events of a task are shown, the newest ones.
	taskEvents = 60
	// taskDeliveries is how many deliveries of its events are shown.
	taskDeliveries = 60
)

// A taskDetail is one task with its events and deliveries.
type taskDetail struct {
	taskRow
	Timeline   timeline
	Events     []event // the oldest first
	Fields     []field
	Deliveries []deliveryRow
	MoreEvents bool // there are older events
}

// Advice is what to do where the polls of the task fail; zero: nothing.
func (t taskDetail) Advice() message {
	switch {
	case t.PollError == nil || len(t.Reasons) > 0: // which have advice
		return message{}
	case t.Memory.Blind != nil:
		return adviceFor(t.PollError.Code, say("advice.push"))
	}
	return adviceFor(t.PollError.Code, say("advice.account"))
}

// A field is one field of an observation.
type field struct {
	Name  string    // in TIW's answer
	Value string    // empty: the answer has none
	Notes []message // its unit, or what it means
}

// taskKey returns the task that the address names.
func (r *request) taskKey() (watcher.Key, error) {
	key, err := watcher.ParseKey(r.PathValue("sdk_app_id") + "/" + r.PathValue("task_id"))
	if err != nil {
		return key, errNoPage
	}
	return key, nil
}

func (s *site) task(r *request) (view, error) {
	ctx := r.Context()
	key, err := r.taskKey()
	if err != nil {
		return view{}, err
	}
	t, err := s.Tasks.Task(ctx, key)
	if err != nil {
		return view{}, err
	}
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Keys: []watcher.Key{key}, Limit: taskEvents + 1})
	if err != nil {
		return view{}, err
	}
	st := s.status(ctx)
	part := taskDetail{taskRow: taskRow{TaskView: t, Reasons: reasonsFor(st.accounts, t.Task)}, Fields: fieldsOf(t.Push)}
	if len(events) > taskEvents {
		events, part.MoreEvents = events[:taskEvents], true
	}
	slices.Reverse(events)
	part.Events = decodeEvents(events)
	part.Timeline = newTimeline(r.Locale, t, part.Events, time.Now())
	records, err := s.Dispatcher.Deliveries(ctx, notify.Query{Task: key, Limit: taskDeliveries})
	if err != nil {
		return view{}, err
	}
	ids := make([]notify.DeliveryID, len(records))
	for i, record := range records {
		ids[i] = record.ID
	}
	attempts, err := s.Dispatcher.Attempts(ctx, ids)
	if err != nil {
		return view{}, err
	}
	for _, record := range records {
		part.Deliveries = append(part.Deliveries, deliveryRow{record, attempts[record.ID]})
	}
	return view{Name: "task", Title: say("title.plain", "ID", key.TaskID), Section: "tasks", Subject: key.String(), Data: part, Status: st}, nil
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
	second := func(n *int64) []message { // of the unix epoch; TIW writes 0 for none
		if value(n) <= 0 {
			return []message{say("field.unix")}
		}
		return []message{say("field.unix"), say("field.time", "Time", time.Unix(*n, 0))}
	}
	stop := second(p.PushStopTime)
	if from, to := value(p.PushStartTime), value(p.PushStopTime); from > 0 && to >= from {
		stop = append(stop, say("field.duration", "Span", time.Duration(to-from)*time.Second))
	}
	note := func(id string) []message { return []message{say(id)} }
	return []field{
		{"Status", value(p.Status), nil},
		{"FinishReason", value(p.FinishReason), nil},
		{"ExceptionCnt", number(p.ExceptionCount), note("field.exceptions")},
		{"PushStartTime", number(p.PushStartTime), second(p.PushStartTime)},
		{"PushStopTime", number(p.PushStopTime), stop},
		{"IMSyncTime", number(p.IMSyncTime), note("field.im_sync")},
		{"RoomId", number(p.RoomID), note("field.room")},
		{"GroupId", value(p.GroupID), note("field.group")},
		{"PushUserId", value(p.PushUserID), note("field.user")},
		{"Backup", value(p.Backup), note("field.backup")},
		{"RequestId", value(p.RequestID), note("field.request")},
	}
}

func (s *site) actOnTask(r *request) (location string, err error) {
	ctx := r.Context()
	key, err := r.taskKey()
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
		_, err := s.reopen(r, key)
		return here + "?done=reopened", err
	}
	return "", errNoPage
}

// reopen watches a task again, with its labels. It reports whether the task had ended.
func (s *site) reopen(r *request, key watcher.Key) (bool, error) {
	t, err := s.Tasks.Task(r.Context(), key)
	if err != nil || !t.State.Ended() {
		return false, err
	}
	again := watcher.Registration{Key: key, Labels: t.Labels}
	if t.ExpectedStopAt.After(time.Now()) { // a past one has no meaning any more
		again.ExpectedStopAt = t.ExpectedStopAt
	}
	_, err = s.Tasks.Register(r.Context(), []watcher.Registration{again}, true)
	return err == nil, err
}
