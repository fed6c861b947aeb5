package page

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// A taskFilter says which tasks are listed, and in which order. The address has the same
// parameters.
type taskFilter struct {
	State   string // one of the states, "live", "blind", "ended" or "all"
	ID      string // contains
	App     string
	Label   string // "key:value"
	Account string
	Sort    sorting
}

// stateFilters are the values of a taskFilter's State.
var stateFilters = []string{"live", "registered", "preparing", "pushing", "blind", "ended", "stopped", "failed", "not_found", "abandoned", "all"}

func readTaskFilter(in url.Values) taskFilter {
	f := taskFilter{State: in.Get("state"), Account: in.Get("account")}
	f.ID, f.App, f.Label = strings.TrimSpace(in.Get("id")), strings.TrimSpace(in.Get("app")), strings.TrimSpace(in.Get("label"))
	if !slices.Contains(stateFilters, f.State) {
		f.State = stateFilters[0]
	}
	f.Sort = readSorting(in.Get("sort"), func(name string) bool { return name == "id" || taskOrders[name] != nil })
	if f.Sort.Column == "id" {
		f.Sort.Descending = false // the store has no such order
	}
	return f
}

// With is the address of the list with another state.
func (f taskFilter) With(state string) string {
	f.State = state
	return f.address("")
}

// Cleared is the address of the list with no filter but the state.
func (f taskFilter) Cleared() string { return taskFilter{State: f.State}.address("") }

// address is the address of a page of the list.
func (f taskFilter) address(after string) string {
	if f.State == stateFilters[0] {
		f.State = ""
	}
	return address("/tasks", "state", f.State, "id", f.ID, "app", f.App, "label", f.Label, "account", f.Account, "sort", f.Sort.String(), "after", after)
}

// Ended reports whether only ended tasks are listed.
func (f taskFilter) Ended() bool { return f.State == "ended" || watcher.State(f.State).Ended() }

// Narrow reports whether the filter has more than a state.
func (f taskFilter) Narrow() bool {
	return f.ID != "" || f.App != "" || f.Label != "" || f.Account != ""
}

// query returns the filter as a query of the store.
func (f taskFilter) query() (watcher.TaskQuery, error) {
	q := watcher.TaskQuery{Account: f.Account, Newest: f.Sort.Column != "id", Limit: rowsToRead}
	q.Blind = f.State == "blind"
	switch f.State {
	case "all":
	case "live", "blind", "ended":
		for _, s := range watcher.States {
			if s.Ended() == (f.State == "ended") {
				q.States = append(q.States, s)
			}
		}
	default:
		q.States = []watcher.State{watcher.State(f.State)}
	}
	return q, selectPushes(&q, f.ID, f.App, f.Label)
}

// selectPushes adds what people type to select pushes to a query.
func selectPushes(q *watcher.TaskQuery, id, app, label string) error {
	if first, rest, ok := strings.Cut(id, "/"); ok { // as in the subject of an event
		app, id = first, rest
	}
	q.Contains = id
	if app != "" {
		number, err := strconv.ParseInt(app, 10, 64)
		if err != nil || number <= 0 {
			return badFilter("filter.bad_app")
		}
		q.SDKAppID = number
	}
	if label != "" {
		key, value, ok := strings.Cut(label, ":")
		if !ok {
			return badFilter("filter.bad_label")
		}
		q.Labels = map[string]string{key: value}
	}
	return nil
}

// A taskList is a page of tasks.
type taskList struct {
	Filter  taskFilter
	Tabs    []stateTab
	Columns []column
	Rows    []taskRow
	Pages   pages
	Partly  bool // only this page is sorted
}

// A stateTab links to the list with another state.
type stateTab struct {
	State, Link string
	Current     bool
}

// A taskRow is a task in a list.
type taskRow struct {
	engine.TaskView
	Changed *watcher.RecentEvent // its last event; nil: there is none
	Reasons []reason             // why it is not visible, except that it is blind alone
}

// EndReason says why the push has ended.
func (t taskRow) EndReason() any { return taskEndReason(t.Task) }

func (t taskRow) changedAt() (at time.Time) {
	if t.Changed != nil {
		at = t.Changed.At
	}
	return at
}

// taskOrders are the orders that a page can be sorted by. The list as a whole is in the
// order of registration or, with "id", of the ids.
var taskOrders = map[string]func(a, b taskRow) int{
	"state": func(a, b taskRow) int {
		return cmp.Compare(slices.Index(watcher.States, a.State), slices.Index(watcher.States, b.State))
	},
	"changed": func(a, b taskRow) int { return a.changedAt().Compare(b.changedAt()) },
	"polled":  func(a, b taskRow) int { return a.LastPolledAt.Compare(b.LastPolledAt) },
	"next":    func(a, b taskRow) int { return a.NextPollAt.Compare(b.NextPollAt) },
}

// columns are the headers of the list.
func (f taskFilter) columns() []column {
	address := func(s sorting) string {
		other := f
		other.Sort = s
		return other.address("")
	}
	header := func(id, name string) column { return f.Sort.header(id, name, address) }
	registered := column{ID: "column.registered", Link: address(sorting{})}
	if f.Sort.Column == "" {
		registered.Sort = "descending"
	}
	list := []column{header("column.push", "id"), header("column.state", "state"), registered, header("column.changed", "changed")}
	if f.Ended() {
		return append(list, column{ID: "column.end_reason"})
	}
	return append(list, header("column.polled", "polled"), header("column.next", "next"))
}

func (s *site) taskList(r *request) (view, error) {
	in := r.URL.Query()
	f := readTaskFilter(in)
	q, err := f.query()
	if err != nil {
		return view{}, err
	}
	if after := in.Get("after"); after != "" {
		if q.After, err = readTaskCursor(after); err != nil {
			return view{}, err
		}
	}
	tasks, err := s.Tasks.Tasks(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	list := taskList{Filter: f, Columns: f.columns()}
	for _, state := range stateFilters {
		list.Tabs = append(list.Tabs, stateTab{state, f.With(state), state == f.State})
	}
	tasks, list.Pages = firstPage(tasks, in.Get("after"), func(after *engine.TaskView) string {
		if after == nil {
			return f.address("")
		}
		return f.address(taskCursor(watcher.TaskMark{Key: after.Key, RegisteredAt: after.RegisteredAt}))
	})
	st := s.status(r.Context())
	if list.Rows, err = s.taskRows(r, tasks, st.accounts); err != nil {
		return view{}, err
	}
	sortRows(list.Rows, f.Sort, taskOrders)
	list.Partly = taskOrders[f.Sort.Column] != nil && list.Pages != pages{}
	return view{Name: "tasks", Title: say("nav.tasks"), Section: "tasks", Data: list, Status: st}, nil
}

// taskRows adds to tasks their last changes, and why they are not visible.
func (s *site) taskRows(r *request, tasks []engine.TaskView, accounts []watcher.AccountStatus) (rows []taskRow, err error) {
	plain := make([]watcher.Task, len(tasks))
	for i, t := range tasks {
		plain[i] = t.Task
	}
	changes, err := s.Events.LastChanges(r.Context(), plain)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		row := taskRow{TaskView: t, Reasons: reasonsFor(accounts, t.Task)}
		if e, ok := changes[t.Key]; ok {
			row.Changed = &e
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// taskCursor and readTaskCursor write and read a place in the list of tasks.
func taskCursor(m watcher.TaskMark) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", m.RegisteredAt.UnixMicro(), m.Key))
}

func readTaskCursor(text string) (m watcher.TaskMark, err error) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(decoded), "/", 3)
	if err != nil || len(parts) != 3 {
		return m, errNoPage
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return m, errNoPage
	}
	m.RegisteredAt = time.UnixMicro(at)
	m.Key, err = keyOf(parts[1], parts[2])
	return m, err
}

// keyOf reads the key of a task from its parts in an address.
func keyOf(app, id string) (watcher.Key, error) {
	key := watcher.Key{TaskID: id}
	key.SDKAppID, _ = strconv.ParseInt(app, 10, 64)
	if len((watcher.Registration{Key: key}).Validate()) > 0 {
		return watcher.Key{}, errNoPage
	}
	return key, nil
}
