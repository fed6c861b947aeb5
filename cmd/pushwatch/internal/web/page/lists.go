package page

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// An eventList is a page of events, the newest first.
type eventList struct {
	Type  string // a pattern; empty: all
	Types []string
	Rows  []event
	Pages pages
}

// eventPatterns are filters for several types of events.
var eventPatterns = []string{"push.*", "watcher.*"}

func (s *site) eventList(r *http.Request) (view, error) {
	in := r.URL.Query()
	list := eventList{Type: in.Get("type"), Types: slices.Clone(eventPatterns)}
	q := watcher.RecentQuery{Limit: rowsToRead}
	for _, t := range watcher.EventTypes {
		list.Types = append(list.Types, string(t))
		if ok, _ := path.Match(list.Type, string(t)); ok {
			q.Types = append(q.Types, t)
		}
	}
	if list.Type != "" && len(q.Types) == 0 {
		return view{}, badFilter("No type of event matches.")
	}
	if before := in.Get("before"); before != "" {
		var at int64
		if _, err := fmt.Sscanf(before, "%d-%d-%d", &at, &q.Before.Shard, &q.Before.Number); err != nil {
			return view{}, errNoPage
		}
		q.Before.At = time.UnixMicro(at)
	}
	events, err := s.Events.RecentEvents(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	events, list.Pages = firstPage(events, in.Get("before"), func(after *watcher.RecentEvent) string {
		before := ""
		if after != nil {
			mark := after.Mark()
			before = fmt.Sprintf("%d-%d-%d", mark.At.UnixMicro(), mark.Shard, mark.Number)
		}
		return address("/events", "type", list.Type, "before", before)
	})
	list.Rows = decodeEvents(events)
	return view{Name: "events", Title: "Events", Section: "events", Data: list}, nil
}

// A deliveryList is a page of deliveries, the newest of an account first.
type deliveryList struct {
	State, Notifier string // empty: all
	States          []notify.State
	Rows            []deliveryRow // without attempts
	Pages           pages
}

// With is the address of the list with another state.
func (l deliveryList) With(state notify.State) string {
	return address("/deliveries", "state", string(state), "notifier", l.Notifier)
}

func (s *site) deliveryList(r *http.Request) (view, error) {
	in := r.URL.Query()
	list := deliveryList{
		State: in.Get("state"), Notifier: in.Get("notifier"),
		States: []notify.State{notify.Pending, notify.Dead, notify.Delivered},
	}
	q := notify.Query{State: notify.State(list.State), Notifier: list.Notifier, Limit: rowsToRead}
	if list.State != "" && !slices.Contains(list.States, q.State) {
		return view{}, badFilter("A delivery is pending, dead or delivered.")
	}
	if after := in.Get("after"); after != "" {
		var err error
		if q.After, err = notify.ParseDeliveryID(after); err != nil {
			return view{}, err
		}
	}
	records, err := s.Deliveries.Deliveries(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	records, list.Pages = firstPage(records, in.Get("after"), func(after *notify.Record) string {
		id := ""
		if after != nil {
			id = after.ID.String()
		}
		return address("/deliveries", "state", list.State, "notifier", list.Notifier, "after", id)
	})
	for _, record := range records {
		list.Rows = append(list.Rows, deliveryRow{Record: record})
	}
	return view{Name: "deliveries", Title: "Deliveries", Section: "notifiers", Data: list}, nil
}

// address is a path with the parameters that are not empty.
func address(path string, namesAndValues ...string) string {
	q := url.Values{}
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func (s *site) delivery(r *http.Request) (view, error) {
	id, err := notify.ParseDeliveryID(r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	record, attempts, err := s.Deliveries.Delivery(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	return view{Name: "delivery", Title: id.String(), Section: "notifiers", Data: deliveryRow{record, attempts}}, nil
}

func (s *site) retryDelivery(r *http.Request) (location string, err error) {
	id, err := notify.ParseDeliveryID(r.PathValue("id"))
	if err != nil {
		return "", err
	}
	return "/deliveries/" + id.String() + "?done=retried", s.Deliveries.Retry(r.Context(), id)
}

func (s *site) notifierList(r *http.Request) (view, error) {
	notifiers, err := s.Notifiers.Notifiers(r.Context())
	return view{Name: "notifiers", Title: "Notifiers", Section: "notifiers", Data: notifiers}, err
}

func (s *site) actOnNotifier(r *http.Request) (location string, err error) {
	ctx, name := r.Context(), r.PathValue("notifier")
	switch r.PathValue("action") {
	case "test":
		_, err := s.Notifiers.Test(ctx, name)
		return "/notifiers?done=tested", err
	case "pause":
		return "/notifiers?done=paused", s.Notifiers.Pause(ctx, name)
	case "resume":
		return "/notifiers?done=resumed", s.Notifiers.Resume(ctx, name)
	case "replay":
		_, err := s.Deliveries.RetryAll(ctx, name, time.Time{}, time.Time{})
		return "/notifiers?done=replayed", err
	}
	return "", errNoPage
}
