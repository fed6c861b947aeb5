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
)

// pageRows is how many rows a list has.
const pageRows = 50

// A taskFilter says which tasks are listed, as the address does.
type taskFilter struct {
	State string // one of the states, "live", "ended" or "all"
	ID    string // contains
	App   string
	Label string // "key:value"
}

// choices are the values of a taskFilter's State.
var choices = []string{"live", "registered", "preparing", "pushing", "ended", "stopped", "failed", "not_found", "all"}

// With is the address of the list with another state.
func (f taskFilter) With(state string) string {
	f.State = state
	return f.address("")
}

// address is that of the list, from a place in it on.
func (f taskFilter) address(after string) string {
	if f.State == choices[0] {
		f.State = ""
	}
	return address("/tasks", "state", f.State, "id", f.ID, "app", f.App, "label", f.Label, "after", after)
}

// Ended reports whether only tasks at an end are listed.
func (f taskFilter) Ended() bool { return f.State == "ended" || watcher.State(f.State).Ended() }

// Narrow reports whether more is asked for than a state.
func (f taskFilter) Narrow() bool { return f.ID != "" || f.App != "" || f.Label != "" }

// query is the filter as the store takes it.
func (f *taskFilter) query() (watcher.TaskQuery, error) {
	q := watcher.TaskQuery{Newest: true, Limit: pageRows + 1, Labels: make(map[string]string)}
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
			return q, faulty("The application is a number, such as 1400000001.")
		}
		q.SDKAppID = app
	}
	if f.Label != "" {
		key, value, ok := strings.Cut(f.Label, ":")
		if !ok {
			return q, faulty("A label is asked for as key:value, such as course:math-3b.")
		}
		q.Labels[key] = value
	}
	return q, nil
}

// faulty is the answer to what was typed wrongly.
func faulty(text string) error {
	return &fault{http.StatusUnprocessableEntity, "That cannot be looked for", text}
}

// A taskList is a page of tasks.
type taskList struct {
	Filter  taskFilter
	Choices []choice
	Rows    []taskRow
	Next    string // address of the next page; empty: this is the last
	Later   bool   // this is not the first page
}

// First is the address of the first page.
func (l taskList) First() string { return l.Filter.address("") }

// A choice is a state to filter by.
type choice struct {
	Text, Link string
	Current    bool
}

// A taskRow is a task in a list.
type taskRow struct {
	watcher.TaskView
	Changed *watcher.RecentEvent // its last change; nil: it never did
}

// How says how the push has ended.
func (t taskRow) How() string { return how(t.Push, t.Error) }

func (s *site) taskList(r *http.Request) (view, error) {
	in := r.URL.Query()
	f := taskFilter{State: in.Get("state"), ID: strings.TrimSpace(in.Get("id")), App: strings.TrimSpace(in.Get("app")), Label: strings.TrimSpace(in.Get("label"))}
	if !slices.Contains(choices, f.State) {
		f.State = choices[0]
	}
	q, err := f.query()
	if err != nil {
		return view{}, err
	}
	if after := in.Get("after"); after != "" {
		if q.After, err = readMark(after); err != nil {
			return view{}, err
		}
	}
	tasks, err := s.Tasks.Tasks(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	list := taskList{Filter: f, Later: in.Has("after")}
	for _, c := range choices {
		list.Choices = append(list.Choices, choice{strings.ReplaceAll(c, "_", " "), f.With(c), c == f.State})
	}
	if len(tasks) > pageRows {
		tasks = tasks[:pageRows]
		last := tasks[pageRows-1]
		list.Next = f.address(writeMark(watcher.TaskMark{Key: last.Key, RegisteredAt: last.RegisteredAt}))
	}
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

// A place in the list of tasks is written as the time of a registration and a key.

func writeMark(m watcher.TaskMark) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", m.RegisteredAt.UnixMicro(), m.Key))
}

func readMark(text string) (m watcher.TaskMark, err error) {
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
