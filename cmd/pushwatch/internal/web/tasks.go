package web

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// taskAPI serves /v1/tasks.
type taskAPI struct {
	tasks Tasks
	log   *zap.Logger
}

// registration is a push to watch, as the API takes it.
type registration struct {
	SDKAppID       int64             `json:"sdk_app_id,omitempty" doc:"SdkAppId of the whiteboard application. May be left out where only one is configured." example:"1400000001"`
	TaskID         string            `json:"task_id" doc:"TaskId that StartWhiteboardPush answered: 1 to 128 of A-Z a-z 0-9 _ -" example:"ghucnligqtgtvk2624mb"`
	ExpectedStopAt *time.Time        `json:"expected_stop_at,omitempty" doc:"When the push is planned to end (RFC 3339). Past it, with some grace, push.overdue is told." example:"2026-11-22T19:00:00Z"`
	Labels         map[string]string `json:"labels,omitempty" doc:"At most 16 labels that come back in each event. Keys: 1 to 64 of a-z 0-9 _ . -; values: up to 256 bytes." example:"{\"course\":\"math-3b\"}"`
}

func (r registration) domain() watcher.Registration {
	out := watcher.Registration{Key: watcher.Key{SDKAppID: r.SDKAppID, TaskID: r.TaskID}, Labels: r.Labels}
	if r.ExpectedStopAt != nil {
		out.ExpectedStopAt = *r.ExpectedStopAt
	}
	return out
}

// task is a registered push, as the API shows it.
type task struct {
	SDKAppID       int64             `json:"sdk_app_id" example:"1400000001"`
	TaskID         string            `json:"task_id" example:"ghucnligqtgtvk2624mb"`
	Account        string            `json:"account" doc:"The account that watches it." example:"school"`
	State          string            `json:"state" enum:"registered,preparing,pushing,stopped,failed,not_found" doc:"How far the push has come, as far as it was seen. The last three are ends."`
	Labels         map[string]string `json:"labels"`
	ExpectedStopAt *time.Time        `json:"expected_stop_at" doc:"When the push is planned to end; null: not told."`
	RegisteredAt   time.Time         `json:"registered_at"`
	Sequence       int64             `json:"sequence" doc:"Number of the task's last event; 0: none yet."`
	Push           *push             `json:"push" doc:"What the API last answered of the push; null before the first observation. Fields that it left out are null."`
	Error          *apiError         `json:"error" doc:"The API's last answer about this task, where that was an error."`
	LastObservedAt *time.Time        `json:"last_observed_at" doc:"When the last answer about this task came; null: none yet."`
	NextPollAt     *time.Time        `json:"next_poll_at" doc:"When the task is due to be polled again; null: it has ended."`
	EndedAt        *time.Time        `json:"ended_at" doc:"When the end was seen; null: the task is live."`
}

// push mirrors [watcher.Push] with its documentation.
type push struct {
	Status         *string `json:"status" doc:"PREPARED, PUSHING, STOPPED, or one that this version does not know."`
	FinishReason   *string `json:"finish_reason" doc:"AUTO, USER_CALL, EXCEPTION, or one that this version does not know."`
	RoomID         *int64  `json:"room_id"`
	GroupID        *string `json:"group_id"`
	PushUserID     *string `json:"push_user_id"`
	PushStartTime  *int64  `json:"push_start_time" doc:"Unix seconds."`
	PushStopTime   *int64  `json:"push_stop_time" doc:"Unix seconds."`
	ExceptionCount *int64  `json:"exception_count" doc:"Exceptions during the push so far."`
	IMSyncTime     *int64  `json:"im_sync_time" doc:"IM timestamp of the first frame of the push."`
	Backup         *string `json:"backup" doc:"Result of the backup push, as the API gives it."`
	RequestID      *string `json:"request_id" doc:"The API's id of the request that told this."`
}

type apiError struct {
	Code    string `json:"code" example:"InvalidParameter.TaskNotFound"`
	Message string `json:"message"`
}

func show(t watcher.TaskView) task {
	out := task{
		SDKAppID: t.SDKAppID, TaskID: t.TaskID, Account: t.Account, State: string(t.State), Labels: t.Labels,
		ExpectedStopAt: moment(t.ExpectedStopAt), RegisteredAt: *moment(t.RegisteredAt), Sequence: t.Sequence,
		Push: (*push)(t.Push), Error: (*apiError)(t.Error), LastObservedAt: moment(t.LastObservedAt),
		NextPollAt: moment(t.NextPollAt), EndedAt: moment(t.EndedAt),
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return out
}

// moment is a time as the API writes it: UTC, null for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Truncate(time.Microsecond))
}

// A TaskPath names a task in a URL. It is exported since it is embedded, and huma
// looks into exported fields only.
type TaskPath struct {
	SDKAppID int64  `path:"sdk_app_id" minimum:"1" example:"1400000001"`
	TaskID   string `path:"task_id" pattern:"^[A-Za-z0-9_-]{1,128}$" patternDescription:"1 to 128 of A-Z a-z 0-9 _ -"`
}

func (p TaskPath) key() watcher.Key { return watcher.Key{SDKAppID: p.SDKAppID, TaskID: p.TaskID} }

func (a *taskAPI) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "register-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary:       "Watch a push",
		Description:   "Answers 201 when its watching begins, and 200 with the task as it is when it was registered already, so that repeating is harmless.",
		DefaultStatus: http.StatusCreated,
	}, a.create)
	huma.Register(api, huma.Operation{
		OperationID: "register-tasks", Method: http.MethodPost, Path: batchPath, Tags: []string{"tasks"}, MaxBodyBytes: maxBatch,
		Summary: "Watch up to 10,000 pushes at once, all or none",
	}, a.createBatch)
	huma.Register(api, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary: "A page of tasks, ordered by application and id",
	}, a.list)
	huma.Register(api, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "One task",
	}, a.get)
	huma.Register(api, huma.Operation{
		OperationID: "remove-task", Method: http.MethodDelete, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "Stop watching a push", DefaultStatus: http.StatusNoContent,
	}, a.remove)
	huma.Register(api, huma.Operation{
		OperationID: "amend-task", Method: http.MethodPatch, Path: "/v1/tasks/{sdk_app_id}/{task_id}", Tags: []string{"tasks"},
		Summary: "Change what a push was registered with", Description: "What is left out stays as it is.",
	}, a.amend)
	huma.Register(api, huma.Operation{
		OperationID: "poll-task", Method: http.MethodPost, Path: "/v1/tasks/{sdk_app_id}/{task_id}/poll", Tags: []string{"tasks"},
		Summary: "Look at a push as soon as the account's limit allows", DefaultStatus: http.StatusAccepted,
		Description: "At most once a second for the same task. What it shows is told as ever; 409 where the task has ended.",
	}, a.poll)
}

type taskAnswer struct {
	Status int
	Body   task
}

func (a *taskAPI) create(ctx context.Context, in *struct {
	Reopen bool `query:"reopen" doc:"Watch a task anew that has ended; its events go on counting."`
	Body   registration
}) (*taskAnswer, error) {
	views, created, err := a.tasks.Register(ctx, []watcher.Registration{in.Body.domain()}, in.Reopen)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	out := &taskAnswer{Status: http.StatusOK, Body: show(views[0])}
	if created[0] {
		out.Status = http.StatusCreated
	}
	return out, nil
}

type batchAnswer struct {
	Body struct {
		Created  int `json:"created" doc:"Tasks whose watching begins with this call."`
		Existing int `json:"existing" doc:"Tasks that were registered already, or stand in the batch twice."`
	}
}

func (a *taskAPI) createBatch(ctx context.Context, in *struct {
	Body struct {
		Tasks []registration `json:"tasks" minItems:"1" maxItems:"10000"`
	}
}) (*batchAnswer, error) {
	wanted := make([]watcher.Registration, len(in.Body.Tasks))
	for i, r := range in.Body.Tasks {
		wanted[i] = r.domain()
	}
	_, created, err := a.tasks.Register(ctx, wanted, false)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	out := &batchAnswer{}
	for _, isNew := range created {
		if isNew {
			out.Body.Created++
		} else {
			out.Body.Existing++
		}
	}
	return out, nil
}

type pageAnswer struct {
	Body struct {
		Tasks      []task `json:"tasks"`
		NextCursor string `json:"next_cursor" doc:"Cursor of the next page; empty: this is the last."`
	}
}

func (a *taskAPI) list(ctx context.Context, in *struct {
	State    string   `query:"state" enum:"registered,preparing,pushing,stopped,failed,not_found"`
	SDKAppID int64    `query:"sdk_app_id" minimum:"1"`
	Label    []string `query:"label,explode" maxItems:"16" doc:"key:value; may be repeated, then all must match." example:"[\"course:math-3b\"]"`
	Limit    int      `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor   string   `query:"cursor" doc:"next_cursor of the page before."`
}) (*pageAnswer, error) {
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
			return nil, fault("query.cursor", in.Cursor, "want the next_cursor of the page before")
		}
		query.After.Key = after
	}
	views, err := a.tasks.Tasks(ctx, query)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	out := &pageAnswer{}
	out.Body.Tasks = make([]task, 0, len(views))
	for i, v := range views {
		if i == in.Limit { // one more than asked for: there is a next page
			out.Body.NextCursor = taskCursor(views[i-1].Key)
			break
		}
		out.Body.Tasks = append(out.Body.Tasks, show(v))
	}
	return out, nil
}

func (a *taskAPI) get(ctx context.Context, in *TaskPath) (*struct{ Body task }, error) {
	view, err := a.tasks.Task(ctx, in.key())
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &struct{ Body task }{show(view)}, nil
}

func (a *taskAPI) remove(ctx context.Context, in *TaskPath) (*struct{}, error) {
	return nil, failure(ctx, a.log, a.tasks.Remove(ctx, in.key()))
}

// amendment is a change of a registration, as the API takes it.
type amendment struct {
	ExpectedStopAt optional[time.Time]         `json:"expected_stop_at,omitzero" doc:"When the push is planned to end now (RFC 3339); null: not known any more. push.overdue can be told again." example:"2026-11-22T20:00:00Z"`
	Labels         optional[map[string]string] `json:"labels,omitzero" doc:"All the labels from now on, within the limits of a registration; null: none." example:"{\"course\":\"math-3b\"}"`
}

// An optional field tells null from being left out.
type optional[T any] struct {
	given bool
	value T // the zero value for null
}

// UnmarshalJSON implements [json.Unmarshaler].
func (o *optional[T]) UnmarshalJSON(data []byte) error {
	o.given = true
	return json.Unmarshal(data, &o.value)
}

// Schema implements [huma.SchemaProvider].
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := r.Schema(reflect.TypeFor[T](), true, "")
	s.Nullable = true
	return s
}

func (a *taskAPI) amend(ctx context.Context, in *struct {
	TaskPath
	Body amendment
}) (*struct{ Body task }, error) {
	var change watcher.Amendment
	if at := in.Body.ExpectedStopAt; at.given {
		change.ExpectedStopAt = &at.value
	}
	if labels := in.Body.Labels; labels.given {
		change.Labels = labels.value
		if change.Labels == nil {
			change.Labels = map[string]string{}
		}
	}
	view, err := a.tasks.Amend(ctx, in.key(), change)
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &struct{ Body task }{show(view)}, nil
}

func (a *taskAPI) poll(ctx context.Context, in *TaskPath) (*struct{}, error) {
	return nil, failure(ctx, a.log, a.tasks.PollNow(ctx, in.key()))
}
