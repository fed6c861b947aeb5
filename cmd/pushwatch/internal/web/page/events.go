package page

import (
	"fmt"
	"slices"
	"time"

	"pushwatch/watcher"
)

// maxEventPushes is how many pushes an event filter selects, the newest ones.
const maxEventPushes = 200

// An eventList is a page of events, the newest first. It is partial if the filter selects
// more than maxEventPushes pushes.
type eventList struct {
	list[event]
	Types []string
}

// eventPatterns are filters for several types of events.
var eventPatterns = []string{"push.*", "watcher.*"}

func (s *site) eventList(r *request) (view, error) {
	f := readFilter[event](r, "/events", nil, "type", "id", "label", "since", "until")
	since, err := r.Locale.readInput(f.Param("since"))
	until, err2 := r.Locale.readInput(f.Param("until"))
	if err != nil || err2 != nil {
		return view{}, badFilter("filter.bad_time")
	}
	part := eventList{Types: slices.Clone(eventPatterns), list: list[event]{Filter: f}}
	for _, t := range watcher.EventTypes {
		part.Types = append(part.Types, string(t))
	}
	q := watcher.RecentQuery{Since: since, Before: watcher.EventMark{At: until}, Limit: rowsToRead}
	if pattern := f.Param("type"); pattern != "" {
		if q.Types = watcher.EventTypesLike(pattern); q.Types == nil {
			return view{}, badFilter("filter.bad_type")
		}
	}
	if before := r.URL.Query().Get("before"); before != "" {
		if q.Before, err = readEventCursor(before); err != nil {
			return view{}, err
		}
	}
	found := true
	if f.Param("id") != "" || f.Param("label") != "" {
		q.Keys, part.Partly, err = s.pushesOf(r, f)
		found = len(q.Keys) > 0
	}
	var events []watcher.RecentEvent
	if found && err == nil {
		events, err = s.Events.RecentEvents(r.Context(), q)
	}
	if err != nil {
		return view{}, err
	}
	events, part.Pages = onePage(r, f, "before", events, func(last watcher.RecentEvent) string { return eventCursor(last.Mark()) })
	part.Rows = decodeEvents(events)
	return view{Name: "events", Title: say("nav.events"), Section: "events", Data: part}, nil
}

// pushesOf are the pushes that an event filter selects, and whether there are more.
func (s *site) pushesOf(r *request, f filter) (keys []watcher.Key, more bool, err error) {
	q := watcher.TaskQuery{Newest: true, Limit: maxEventPushes + 1}
	if err := selectPushes(&q, f); err != nil {
		return nil, false, err
	}
	tasks, err := s.Tasks.Tasks(r.Context(), q)
	if more = len(tasks) > maxEventPushes; more {
		tasks = tasks[:maxEventPushes]
	}
	for _, t := range tasks {
		keys = append(keys, t.Key)
	}
	return keys, more, err
}

// eventCursor and readEventCursor write and read a place in the list of events.
func eventCursor(m watcher.EventMark) string {
	return fmt.Sprintf("%d-%d-%d", m.At.UnixMicro(), m.Shard, m.Number)
}

func readEventCursor(text string) (m watcher.EventMark, err error) {
	var at int64
	if _, err := fmt.Sscanf(text, "%d-%d-%d", &at, &m.Shard, &m.Number); err != nil {
		return m, errNoPage
	}
	m.At = time.UnixMicro(at)
	return m, nil
}
