package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// taskAPI serves /v1/tasks.
type taskAPI struct {
	tasks Tasks
	log   *zap.Logger
}

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
		ExpectedStopAt: timeOrNull(t.ExpectedStopAt), RegisteredAt: *timeOrNull(t.RegisteredAt), Sequence: t.Sequence,
		Push: (*api.Push)(t.Push), Error: (*api.CloudError)(t.Error), LastObservedAt: timeOrNull(t.LastObservedAt),
		LastPolledAt: timeOrNull(t.LastPolledAt), NextPollAt: timeOrNull(t.NextPollAt), EndedAt: timeOrNull(t.EndedAt),
	}
	if e := t.PollError; e != nil {
		out.PollError = &api.PollError{Code: e.Code, Message: e.Message, Since: *timeOrNull(e.Since)}
	}
	if t.Memory.Blind != nil && !t.State.Ended() {
		out.BlindSince = timeOrNull(t.Memory.Blind.Since)
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return out
}

// timeOrNull returns a time in the API's form: in UTC, null for the zero time.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Truncate(time.Microsecond))
}

// A TaskPath names a task in a URL. It is exported because huma ignores unexported embedded
// fields.
type TaskPath struct {
	SDKAppID int64  `path:"sdk_app_id" minimum:"1" example:"1400000001"`
	TaskID   string `path:"task_id" pattern:"^[A-Za-z0-9_-]{1,128}$" patternDescription:"1 to 128 of A-Z a-z 0-9 _ -"`
}

func (p TaskPath) key() watcher.Key { return watcher.Key{SDKAppID: p.SDKAppID, TaskID: p.TaskID} }

func (a *taskAPI) register(r huma.API) {
	handle(r, huma.Operation{
		OperationID: "register-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary:       "Watch a push",
		Description:   "Answers 201 for a new task, and 200 with the present task if it was registered already, so repeating a request is harmless.",
		DefaultStatus: http.StatusCreated,
	}, a.create)
	handle(r, huma.Operation{
		OperationID: "register-tasks", Method: http.MethodPost, Path: batchPath, Tags: []string{"tasks"},
		Summary: "Watch up to 10,000 pushes at once, all or none",
	}, a.createBatch)
	handle(r, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary: "List tasks, ordered by application and id",
	}, a.list)
	handle(r, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "Get a task",
	}, a.get)
	handle(r, huma.Operation{
		OperationID: "remove-task", Method: http.MethodDelete, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "Stop watching a push", DefaultStatus: http.StatusNoContent,
	}, a.remove)
	handle(r, huma.Operation{
		OperationID: "amend-task", Method: http.MethodPatch, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "Change the planned end or the labels of a task", Description: "Fields that are left out stay unchanged.",
	}, a.amend)
	handle(r, huma.Operation{
		OperationID: "poll-task", Method: http.MethodPost, Path: "/v1/tasks/{sdk_app_id}/{task_id}/poll", Tags: []string{"tasks"},
		Summary: "Poll a push as soon as the account's limit allows", DefaultStatus: http.StatusAccepted,
		Description: "At most once per second and task. Changes are reported by events as usual. Answers 409 if the task has ended.",
	}, a.poll)
}

type taskAnswer struct {
	Status int
	Body   api.Task
}

func (a *taskAPI) create(ctx context.Context, in *struct {
	Reopen bool `query:"reopen" doc:"Watch a task again after it has ended; the numbers of its events continue."`
	Body   api.Registration
}) (*taskAnswer, error) {
	registered, err := a.tasks.Register(ctx, []watcher.Registration{registrationOf(in.Body)}, in.Reopen)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	out := &taskAnswer{Status: http.StatusOK, Body: showTask(registered[0].TaskView)}
	if registered[0].Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (a *taskAPI) createBatch(ctx context.Context, in *struct{ Body api.Batch }) (*answer[api.BatchResult], error) {
	wanted := make([]watcher.Registration, len(in.Body.Tasks))
	for i, r := range in.Body.Tasks {
		wanted[i] = registrationOf(r)
	}
	created, err := a.tasks.RegisterAll(ctx, wanted)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &answer[api.BatchResult]{api.BatchResult{Created: created, Existing: len(wanted) - created}}, nil
}

func (a *taskAPI) list(ctx context.Context, in *struct {
	State    string   `query:"state" enum:"registered,preparing,pushing,stopped,failed,not_found,abandoned"`
	SDKAppID int64    `query:"sdk_app_id" minimum:"1"`
	Label    []string `query:"label,explode" maxItems:"16" doc:"key:value. May be repeated: all must match." example:"[\"course:math-3b\"]"`
	Limit    int      `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor   string   `query:"cursor" doc:"next_cursor of the previous page."`
}) (*answer[api.Tasks], error) {
	query := watcher.TaskQuery{SDKAppID: in.SDKAppID, Limit: in.Limit + 1, Labels: make(map[string]string)}
	if in.State != "" {
		query.States = []watcher.State{watcher.State(in.State)}
	}
	for _, label := range in.Label {
		name, value, ok := strings.Cut(label, ":")
		if !ok {
			return nil, fault("query.label", label, "want key:value, such as course:math-3b")
		}
		query.Labels[name] = value
	}
	if in.Cursor != "" {
		after, err := readTaskCursor(in.Cursor)
		if err != nil {
			return nil, fault("query.cursor", in.Cursor, "want the next_cursor of the previous page")
		}
		query.After.Key = after
	}
	views, err := a.tasks.Tasks(ctx, query)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	out := new(answer[api.Tasks])
	out.Body.Tasks, out.Body.NextCursor = onePage(views, in.Limit, showTask, func(v engine.TaskView) string { return taskCursor(v.Key) })
	return out, nil
}

func (a *taskAPI) get(ctx context.Context, in *TaskPath) (*answer[api.Task], error) {
	view, err := a.tasks.Task(ctx, in.key())
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &answer[api.Task]{showTask(view)}, nil
}

func (a *taskAPI) remove(ctx context.Context, in *TaskPath) (*struct{}, error) {
	return nil, failure(ctx, a.log, a.tasks.Remove(ctx, in.key()))
}

func (a *taskAPI) amend(ctx context.Context, in *struct {
	TaskPath
	Body api.Amendment
}) (*answer[api.Task], error) {
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
	view, err := a.tasks.Amend(ctx, in.key(), change)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &answer[api.Task]{showTask(view)}, nil
}

func (a *taskAPI) poll(ctx context.Context, in *TaskPath) (*struct{}, error) {
	return nil, failure(ctx, a.log, a.tasks.PollNow(ctx, in.key()))
}
