package page

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// stateFilters are the states that a list of tasks can be filtered by. The first one is the
// default, which the list's address does not name.
var stateFilters = []string{"live", "registered", "preparing", "pushing", "blind", "ended", "stopped", "failed", "not_found", "abandoned", "all"}

func readTaskFilter(r *request) (f filter, state string) {
	f = readFilter(r, "/tasks", taskOrders, "state", "id", "app", "label", "account")
	if !slices.Contains(stateFilters[1:], f.Param("state")) {
		f.params.Del("state")
	}
	if f.Sort.Column == "id" {
		f.Sort.Descending = false // the store has no such order
	}
	return f, cmp.Or(f.Param("state"), stateFilters[0])
}

// onlyEnded reports whether all tasks of a state filter have ended.
func onlyEnded(state string) bool { return state == "ended" || watcher.State(state).Ended() }

// taskQuery returns a filter as a query of the store.
func taskQuery(f filter, state string) (watcher.TaskQuery, error) {
	q := watcher.TaskQuery{Account: f.Param("account"), Newest: f.Sort.Column != "id", Blind: state == "blind", Limit: rowsToRead}
	switch state {
	case "all":
	case "live", "blind", "ended":
		for _, s := range watcher.States {
			if s.Ended() == (state == "ended") {
				q.States = append(q.States, s)
			}
		}
	default:
		q.States = []watcher.State{watcher.State(state)}
	}
	return q, selectPushes(&q, f)
}

// selectPushes adds what people type to select pushes to a query.
func selectPushes(q *watcher.TaskQuery, f filter) error {
	id, app, label := f.Param("id"), f.Param("app"), f.Param("label")
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
	list[taskRow]
	State  string
	States []string
	Ended  bool // all tasks have ended
}

// A taskRow is a task in a list.
type taskRow struct {
	engine.TaskView
	Changed *watcher.RecentEvent // its last event; nil: there is none
	Reasons []reason             // why it is not visible, except that it is blind alone
}

func (t taskRow) changedAt() (at time.Time) {
	if t.Changed != nil {
		at = t.Changed.At
	}
	return at
}

// taskOrders are the orders that a page can be sorted by. The list as a whole is in the
// order of registration or, with "id", of the ids.
var taskOrders = map[string]order[taskRow]{
	"id": nil,
	"state": func(a, b taskRow) int {
		return cmp.Compare(slices.Index(watcher.States, a.State), slices.Index(watcher.States, b.State))
	},
	"changed": func(a, b taskRow) int { return a.changedAt().Compare(b.changedAt()) },
	"polled":  func(a, b taskRow) int { return a.LastPolledAt.Compare(b.LastPolledAt) },
	"next":    func(a, b taskRow) int { return a.NextPollAt.Compare(b.NextPollAt) },
}

// taskColumns are the headers of the list.
func taskColumns(f filter, ended bool) []column {
	registered := column{ID: "column.registered", Link: f.With("sort", "")}
	if f.Sort.Column == "" {
		registered.Sort = "descending"
	}
	list := []column{f.header("column.push", "id"), f.header("column.state", "state"), registered, f.header("column.changed", "changed")}
	if ended {
		return append(list, column{ID: "column.end_reason"})
	}
	return append(list, f.header("column.polled", "polled"), f.header("column.next", "next"))
}

func (s *site) taskList(r *request) (view, error) {
	f, state := readTaskFilter(r)
	q, err := taskQuery(f, state)
	if err != nil {
		return view{}, err
	}
	if after := r.URL.Query().Get("after"); after != "" {
		if q.After, err = readTaskCursor(after); err != nil {
			return view{}, err
		}
	}
	tasks, err := s.Tasks.Tasks(r.Context(), q)
	if err != nil {
		return view{}, err
	}
	part := taskList{State: state, States: stateFilters, Ended: onlyEnded(state), list: list[taskRow]{Filter: f, Columns: taskColumns(f, onlyEnded(state))}}
	tasks, part.Pages = onePage(r, f, "after", tasks, taskCursor)
	st := s.status(r.Context())
	if part.Rows, err = s.taskRows(r, tasks, st.accounts); err != nil {
		return view{}, err
	}
	part.sort(taskOrders)
	return view{Name: "tasks", Title: say("nav.tasks"), Section: "tasks", Data: part, Status: st}, nil
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
func taskCursor(t engine.TaskView) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", t.RegisteredAt.UnixMicro(), t.Key))
}

func readTaskCursor(text string) (m watcher.TaskMark, err error) {
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	at, key, _ := strings.Cut(string(decoded), "/")
	registered, badTime := strconv.ParseInt(at, 10, 64)
	parsed, badKey := watcher.ParseKey(key)
	if err != nil || badTime != nil || badKey != nil {
		return m, errNoPage
	}
	return watcher.TaskMark{RegisteredAt: time.UnixMicro(registered), Key: parsed}, nil
}
