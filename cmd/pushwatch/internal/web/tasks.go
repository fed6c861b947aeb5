package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// registrationOf returns a registration in the watcher's form.
func registrationOf(r api.Registration) watcher.Registration {
	out := watcher.Registration{Key: watcher.Key{SDKAppID: r.SDKAppID, TaskID: r.TaskID}, Labels: r.Labels}
	if r.ExpectedStopAt != nil {
		out.ExpectedStopAt = *r.ExpectedStopAt
	}
	return out
}

func showTask(t engine.TaskView) api.Task {
	out := api.Task{
		SDKAppID: t.SDKAppID, TaskID: t.TaskID, Account: t.Account, State: string(t.State), Labels: t.Labels,
		ExpectedStopAt: timeOrNull(t.ExpectedStopAt), RegisteredAt: utc(t.RegisteredAt), Sequence: t.Sequence,
		Push: (*api.Push)(t.Push), Error: (*api.CloudError)(t.Error), LastObservedAt: timeOrNull(t.LastObservedAt),
		LastPolledAt: timeOrNull(t.LastPolledAt), NextPollAt: timeOrNull(t.NextPollAt), EndedAt: timeOrNull(t.EndedAt),
	}
	if e := t.PollError; e != nil {
		out.PollError = &api.PollError{Code: e.Code, Message: e.Message, Since: utc(e.Since)}
	}
	if t.Memory.Blind != nil && !t.State.Ended() {
		out.BlindSince = timeOrNull(t.Memory.Blind.Since)
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return out
}

// utc returns a time in the API's form.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// timeOrNull is utc, except that it returns null for the zero time.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(utc(t))
}

// A TaskPath names a task in a URL. It is exported because huma ignores unexported embedded
// fields.
type TaskPath struct {
	SDKAppID int64  `path:"sdk_app_id" minimum:"1" example:"1400000001"`
	TaskID   string `path:"task_id" pattern:"^[A-Za-z0-9_-]{1,128}$" patternDescription:"1 to 128 of A-Z a-z 0-9 _ -"`
}

func (p TaskPath) key() watcher.Key { return watcher.Key{SDKAppID: p.SDKAppID, TaskID: p.TaskID} }

func (a *apiServer) taskRoutes() {
	handle(a, huma.Operation{
		OperationID: "register-task", Method: http.MethodPost, Path: "/v1/tasks", DefaultStatus: http.StatusCreated,
		Summary:     "Watch a push",
		Description: "Answers 201 for a new task, and 200 with the present task if it was registered already, so repeating a request is harmless.",
	}, a.createTask)
	handleJSON(a, huma.Operation{
		OperationID: "register-tasks", Method: http.MethodPost, Path: batchPath, Summary: "Watch up to 10,000 pushes at once, all or none",
	}, a.createTasks)
	handleJSON(a, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/tasks", Summary: "List tasks, ordered by application and id",
	}, a.listTasks)
	handleJSON(a, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Summary: "Get a task",
	}, a.getTask)
	handleEmpty(a, huma.Operation{
		OperationID: "remove-task", Method: http.MethodDelete, Path: "/v1/tasks/{sdk_app_id}/{task_id}", DefaultStatus: http.StatusNoContent,
		Summary: "Stop watching a push",
	}, a.removeTask)
	handleJSON(a, huma.Operation{
		OperationID: "amend-task", Method: http.MethodPatch, Path: "/v1/tasks/{sdk_app_id}/{task_id}",
		Summary: "Change the planned end or the labels of a task", Description: "Fields that are left out stay unchanged.",
	}, a.amendTask)
	handleEmpty(a, huma.Operation{
		OperationID: "poll-task", Method: http.MethodPost, Path: "/v1/tasks/{sdk_app_id}/{task_id}/poll", DefaultStatus: http.StatusAccepted,
		Summary:     "Poll a push as soon as the account's limit allows",
		Description: "At most once per second and task. Changes are reported by events as usual. Answers 409 if the task has ended.",
	}, a.pollTask)
}

type taskAnswer struct {
	Status int
	Body   api.Task
}

func (a *apiServer) createTask(ctx context.Context, in *struct {
	Reopen bool `query:"reopen" doc:"Watch a task again after it has ended; the numbers of its events continue."`
	Body   api.Registration
}) (*taskAnswer, error) {
	registered, err := a.Tasks.Register(ctx, []watcher.Registration{registrationOf(in.Body)}, in.Reopen)
	if err != nil {
		return nil, err
	}
	out := &taskAnswer{Status: http.StatusOK, Body: showTask(registered[0].TaskView)}
	if registered[0].Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (a *apiServer) createTasks(ctx context.Context, in *struct{ Body api.Batch }) (out api.BatchResult, err error) {
	wanted := make([]watcher.Registration, len(in.Body.Tasks))
	for i, r := range in.Body.Tasks {
		wanted[i] = registrationOf(r)
	}
	registered, err := a.Tasks.Register(ctx, wanted, false)
	for _, t := range registered {
		if t.Created {
			out.Created++
		} else {
			out.Existing++
		}
	}
	return out, err
}

func (a *apiServer) listTasks(ctx context.Context, in *struct {
	State    string   `query:"state" enum:"registered,preparing,pushing,stopped,failed,not_found,abandoned"`
	SDKAppID int64    `query:"sdk_app_id" minimum:"1"`
	Label    []string `query:"label,explode" maxItems:"16" doc:"key:value. May be repeated: all must match." example:"[\"course:math-3b\"]"`
	Limit    int      `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor   string   `query:"cursor" doc:"next_cursor of the previous page."`
}) (out api.Tasks, err error) {
	query := watcher.TaskQuery{SDKAppID: in.SDKAppID, Limit: in.Limit + 1, Labels: make(map[string]string)}
	if in.State != "" {
		query.States = []watcher.State{watcher.State(in.State)}
	}
	for _, label := range in.Label {
		name, value, ok := strings.Cut(label, ":")
		if !ok {
			return out, fault("query.label", label, "want key:value, such as course:math-3b")
		}
		query.Labels[name] = value
	}
	if in.Cursor != "" {
		if query.After.Key, err = readTaskCursor(in.Cursor); err != nil {
			return out, fault("query.cursor", in.Cursor, "want the next_cursor of the previous page")
		}
	}
	views, err := a.Tasks.Tasks(ctx, query)
	out.Tasks, out.NextCursor = onePage(views, in.Limit, showTask, func(v engine.TaskView) string { return taskCursor(v.Key) })
	return out, err
}

func (a *apiServer) getTask(ctx context.Context, in *TaskPath) (api.Task, error) {
	view, err := a.Tasks.Task(ctx, in.key())
	return showTask(view), err
}

func (a *apiServer) removeTask(ctx context.Context, in *TaskPath) error {
	return a.Tasks.Remove(ctx, in.key())
}

func (a *apiServer) amendTask(ctx context.Context, in *struct {
	TaskPath
	Body api.Amendment
}) (api.Task, error) {
	var change engine.Amendment
	if at := in.Body.ExpectedStopAt; at.Given {
		change.ExpectedStopAt = &at.Value
	}
	if labels := in.Body.Labels; labels.Given {
		change.Labels = labels.Value
		if change.Labels == nil {
			change.Labels = map[string]string{}
		}
	}
	view, err := a.Tasks.Amend(ctx, in.key(), change)
	return showTask(view), err
}

func (a *apiServer) pollTask(ctx context.Context, in *TaskPath) error {
	return a.Tasks.PollNow(ctx, in.key())
}
