package page

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// A taskFilter says which tasks are listed. The address has the same parameters.
type taskFilter struct {
	State string // one of the states, "live", "ended" or "all"
	ID    string // contains
	App   string
	Label string // "key:value"
}

// stateFilters are the values of a taskFilter's State.
var stateFilters = []string{"live", "registered", "preparing", "pushing", "ended", "stopped", "failed", "not_found", "all"}

// With is the address of the list with another state.
func (f taskFilter) With(state string) string {
	f.State = state
	return f.address("")
}

// address is the address of a page of the list.
func (f taskFilter) address(after string) string {
	if f.State == stateFilters[0] {
		f.State = ""
	}
	return address("/tasks", "state", f.State, "id", f.ID, "app", f.App, "label", f.Label, "after", after)
}

// Ended reports whether only ended tasks are listed.
func (f taskFilter) Ended() bool { return f.State == "ended" || watcher.State(f.State).Ended() }

// Narrow reports whether the filter has more than a state.
func (f taskFilter) Narrow() bool { return f.ID != "" || f.App != "" || f.Label != "" }

// query returns the filter as a query of the store.
func (f *taskFilter) query() (watcher.TaskQuery, error) {
	q := watcher.TaskQuery{Newest: true, Limit: rowsToRead, Labels: make(map[string]string)}
	switch f.State {
	case "all":
	case "live", "ended":
		for _, s := range watcher.States {
			if s.Ended() == (f.State == "ended") {
				q.States = append(q.States, s)
			}
		}
	default:
		q.States = []watcher.State{watcher.State(f.State)}
	}
	if app, id, ok := strings.Cut(f.ID, "/"); ok { // as in the subject of an event
		f.App, f.ID = app, id
	}
	q.Contains = f.ID
	if f.App != "" {
		app, err := strconv.ParseInt(f.App, 10, 64)
		if err != nil || app <= 0 {
			return q, badFilter("The application is a number, such as 1400000001.")
		}
		q.SDKAppID = app
	}
	if f.Label != "" {
		key, value, ok := strings.Cut(f.Label, ":")
		if !ok {
			return q, badFilter("A label has the form key:value, such as course:math-3b.")
		}
		q.Labels[key] = value
	}
	return q, nil
}

// badFilter is the fault of a filter that cannot be used.
func badFilter(text string) error {
	return &fault{http.StatusUnprocessableEntity, "This filter cannot be used", text}
}

// A taskList is a page of tasks.
type taskList struct {
	Filter taskFilter
	Tabs   []stateTab
	Rows   []taskRow
	Pages  pages
}

// A stateTab links to the list with another state.
type stateTab struct {
	Text, Link string
	Current    bool
}

// A taskRow is a task in a list.
type taskRow struct {
	engine.TaskView
	Changed *watcher.RecentEvent // its last event; nil: there is none
}

// EndReason says why the push has ended.
func (t taskRow) EndReason() string { return endReason(t.Push, t.Error) }

func (s *site) taskList(r *http.Request) (view, error) {
	in := r.URL.Query()
	f := taskFilter{State: in.Get("state"), ID: strings.TrimSpace(in.Get("id")), App: strings.TrimSpace(in.Get("app")), Label: strings.TrimSpace(in.Get("label"))}
	if !slices.Contains(stateFilters, f.State) {
		f.State = stateFilters[0]
	}
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
	list := taskList{Filter: f}
	for _, c := range stateFilters {
		list.Tabs = append(list.Tabs, stateTab{strings.ReplaceAll(c, "_", " "), f.With(c), c == f.State})
	}
	tasks, list.Pages = firstPage(tasks, in.Get("after"), func(after *engine.TaskView) string {
		if after == nil {
			return f.address("")
		}
		return f.address(taskCursor(watcher.TaskMark{Key: after.Key, RegisteredAt: after.RegisteredAt}))
	})
	plain := make([]watcher.Task, len(tasks))
	for i, t := range tasks {
		plain[i] = t.Task
	}
	changes, err := s.Events.LastChanges(r.Context(), plain)
	if err != nil {
		return view{}, err
	}
	for _, t := range tasks {
		row := taskRow{TaskView: t}
		if e, ok := changes[t.Key]; ok {
			row.Changed = &e
		}
		list.Rows = append(list.Rows, row)
	}
	return view{Name: "tasks", Title: "Pushes", Section: "tasks", Data: list}, nil
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
