package page

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
)

// A deliveryRow is a delivery with its attempts.
type deliveryRow struct {
	notify.Record
	Attempts []notify.Attempt // the oldest first
}

// Tries is how many attempts there were since it was made or last replayed.
func (d deliveryRow) Tries() int { return d.Record.Attempts }

// Retries reports whether the time of another attempt is set. One that has passed does not
// count: the delivery waits for something else.
func (d deliveryRow) Retries() bool {
	return d.State == notify.Pending && d.NextAttemptAt.After(time.Now())
}

// Waits says what the delivery waits for.
func (d deliveryRow) Waits() message {
	return say("wait."+string(d.WaitsFor.For), "Until", d.WaitsFor.Until, "Delivery", d.WaitsFor.Delivery)
}

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

// A deliveryList is a page of deliveries, the newest of an account first.
type deliveryList struct {
	list[deliveryRow] // without attempts
	States            []notify.State
	Notifiers         []string // those of the settings
}

// deliveryStates are the states of deliveries, those that need attention first.
var deliveryStates = []notify.State{notify.Pending, notify.Dead, notify.Delivered}

// deliveryOrders are the orders that a page can be sorted by.
var deliveryOrders = map[string]order[deliveryRow]{
	"event":    func(a, b deliveryRow) int { return cmp.Compare(a.Type, b.Type) },
	"push":     func(a, b deliveryRow) int { return cmp.Compare(subjectName(a.Subject), subjectName(b.Subject)) },
	"notifier": func(a, b deliveryRow) int { return cmp.Compare(a.Notifier, b.Notifier) },
	"state": func(a, b deliveryRow) int {
		return cmp.Compare(slices.Index(deliveryStates, a.State), slices.Index(deliveryStates, b.State))
	},
	"attempts": func(a, b deliveryRow) int { return cmp.Compare(a.Tries(), b.Tries()) },
	"made":     func(a, b deliveryRow) int { return a.CreatedAt.Compare(b.CreatedAt) },
}

// deliveryColumns are the headers of the list.
func deliveryColumns(f filter) []column {
	attempts := f.header("column.attempts", "attempts")
	attempts.Number = true
	return []column{
		{ID: "column.delivery"}, f.header("column.made", "made"), f.header("column.event", "event"), f.header("column.push", "push"), f.header("column.notifier", "notifier"),
		f.header("column.state", "state"), attempts, {ID: "column.last_error"},
	}
}

func (s *site) deliveryList(r *request) (view, error) {
	f := readFilter(r, "/deliveries", deliveryOrders, "state", "notifier", "event")
	q := notify.Query{State: notify.State(f.Param("state")), Notifier: f.Param("notifier"), EventID: f.Param("event"), Limit: rowsToRead}
	if q.State != "" && !slices.Contains(deliveryStates, q.State) {
		return view{}, badFilter("filter.bad_delivery_state")
	}
	if after := r.URL.Query().Get("after"); after != "" {
		var err error
		if q.After, err = notify.ParseDeliveryID(after); err != nil {
			return view{}, err
		}
	}
	records, err := s.Dispatcher.Deliveries(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	part := deliveryList{States: deliveryStates, list: list[deliveryRow]{Filter: f, Columns: deliveryColumns(f)}}
	records, part.Pages = onePage(r, f, "after", records, func(last notify.Record) string { return last.ID.String() })
	for _, record := range records {
		part.Rows = append(part.Rows, deliveryRow{Record: record})
	}
	part.sort(deliveryOrders)
	st := s.status(r.Context())
	for _, n := range st.notifiers {
		part.Notifiers = append(part.Notifiers, n.Name)
	}
	return view{Name: "deliveries", Title: say("nav.deliveries"), Section: "deliveries", Data: part, Status: st}, nil
}

func (s *site) delivery(r *request) (view, error) {
	id, err := notify.ParseDeliveryID(r.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	record, attempts, err := s.Dispatcher.Delivery(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	return view{Name: "delivery", Title: say("title.plain", "ID", id.String()), Section: "deliveries", Data: deliveryRow{record, attempts}}, nil
}

func (s *site) retryDelivery(r *request) (location string, err error) {
	id, err := notify.ParseDeliveryID(r.PathValue("id"))
	if err != nil {
		return "", err
	}
	_, err = s.Dispatcher.Retry(r.Context(), id)
	return "/deliveries/" + id.String() + "?done=retried", err
}

func (s *site) notifierList(r *request) (view, error) {
	notifiers, err := s.Dispatcher.Notifiers(r.Context())
	return view{Name: "notifiers", Title: say("nav.notifiers"), Section: "notifiers", Data: notifiers}, err
}

func (s *site) actOnNotifier(r *request) (location string, err error) {
	ctx, name := r.Context(), r.PathValue("notifier")
	switch r.PathValue("action") {
	case "test":
		_, err := s.Dispatcher.Test(ctx, name)
		return "/notifiers?done=tested", err
	case "pause":
		return "/notifiers?done=paused", s.Dispatcher.Pause(ctx, name)
	case "resume":
		return "/notifiers?done=resumed", s.Dispatcher.Resume(ctx, name)
	case "replay":
		n, err := s.Dispatcher.RetryAll(ctx, name, time.Time{}, time.Time{})
		return address("/notifiers", "done", "replayed", "n", strconv.Itoa(n)), err
	}
	return "", errNoPage
}
