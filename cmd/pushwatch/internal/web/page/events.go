package page

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// An eventFilter says which events are listed. The address has the same parameters.
type eventFilter struct {
	Type        string // a pattern; empty: all
	ID          string // of the push: contains
	Label       string // of the push: "key:value"
	Since       string // local time, as [locale.input] writes it
	Until       string
	since, till time.Time
}

func (l *locale) readEventFilter(in url.Values) (f eventFilter, err error) {
	f = eventFilter{Type: in.Get("type"), ID: strings.TrimSpace(in.Get("id")), Label: strings.TrimSpace(in.Get("label")), Since: in.Get("since"), Until: in.Get("until")}
	if f.since, err = l.readInput(f.Since); err == nil {
		f.till, err = l.readInput(f.Until)
	}
	if err != nil {
		return f, badFilter("filter.bad_time")
	}
	return f, nil
}

// Narrow reports whether the filter selects.
func (f eventFilter) Narrow() bool {
	return f.Type != "" || f.ID != "" || f.Label != "" || f.Since != "" || f.Until != ""
}

// address is the address of a page of the list.
func (f eventFilter) address(before string) string {
	return address("/events", "type", f.Type, "id", f.ID, "label", f.Label, "since", f.Since, "until", f.Until, "before", before)
}

// types are the types of events that match the filter; none: all do.
func (f eventFilter) types() (types []watcher.EventType, err error) {
	if f.Type == "" {
		return nil, nil
	}
	for _, t := range watcher.EventTypes {
		if ok, _ := path.Match(f.Type, string(t)); ok {
			types = append(types, t)
		}
	}
	if len(types) == 0 {
		return nil, badFilter("filter.bad_type")
	}
	return types, nil
}

// maxEventPushes is how many pushes an event filter selects, the newest ones.
const maxEventPushes = 200

// An eventList is a page of events, the newest first.
type eventList struct {
	Filter eventFilter
	Types  []string
	Rows   []event
	Pages  pages
	Partly bool // the filter selects more than maxEventPushes pushes
}

// eventPatterns are filters for several types of events.
var eventPatterns = []string{"push.*", "watcher.*"}

func (s *site) eventList(r *request) (view, error) {
	in := r.URL.Query()
	f, err := r.Locale.readEventFilter(in)
	if err != nil {
		return view{}, err
	}
	list := eventList{Filter: f, Types: slices.Clone(eventPatterns)}
	for _, t := range watcher.EventTypes {
		list.Types = append(list.Types, string(t))
	}
	q := watcher.RecentQuery{Since: f.since, Limit: rowsToRead}
	if q.Types, err = f.types(); err != nil {
		return view{}, err
	}
	if !f.till.IsZero() {
		q.Before.At = f.till
	}
	if before := in.Get("before"); before != "" {
		if q.Before, err = readEventCursor(before); err != nil {
			return view{}, err
		}
	}
	found := true
	if f.ID != "" || f.Label != "" {
		q.Keys, list.Partly, err = s.pushesOf(r, f)
		found = len(q.Keys) > 0
	}
	var events []watcher.RecentEvent
	if found && err == nil {
		events, err = s.Events.RecentEvents(r.Context(), q)
	}
	if err != nil {
		return view{}, err
	}
	events, list.Pages = firstPage(events, in.Get("before"), func(after *watcher.RecentEvent) string {
		if after == nil {
			return f.address("")
		}
		return f.address(eventCursor(after.Mark()))
	})
	list.Rows = decodeEvents(events)
	return view{Name: "events", Title: say("nav.events"), Section: "events", Data: list}, nil
}

// pushesOf are the pushes that an event filter selects, and whether there are more.
func (s *site) pushesOf(r *request, f eventFilter) (keys []watcher.Key, more bool, err error) {
	q := watcher.TaskQuery{Newest: true, Limit: maxEventPushes + 1}
	if err := selectPushes(&q, f.ID, "", f.Label); err != nil {
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
