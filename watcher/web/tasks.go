package web

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
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

// taskPath names a task in a URL.
type taskPath struct {
	SDKAppID int64  `path:"sdk_app_id" minimum:"1" example:"1400000001"`
	TaskID   string `path:"task_id" pattern:"^[A-Za-z0-9_-]{1,128}$" patternDescription:"1 to 128 of A-Z a-z 0-9 _ -"`
}

func (p taskPath) key() watcher.Key { return watcher.Key{SDKAppID: p.SDKAppID, TaskID: p.TaskID} }

func (a *taskAPI) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "register-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary:      "Watch a push",
		Description:  "Answers 201 when its watching begins, and 200 with the task as it is when it was registered already, so that repeating is harmless.",
		MaxBodyBytes: maxBody, DefaultStatus: http.StatusCreated,
	}, a.create)
	huma.Register(api, huma.Operation{
		OperationID: "register-tasks", Method: http.MethodPost, Path: "/v1/tasks/batch", Tags: []string{"tasks"},
		Summary: "Watch up to 10,000 pushes at once, all or none", MaxBodyBytes: maxBatch,
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
		return nil, a.failure(ctx, err)
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
		return nil, a.failure(ctx, err)
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
	query := watcher.TaskQuery{State: watcher.State(in.State), SDKAppID: in.SDKAppID, Limit: in.Limit + 1, Labels: make(map[string]string)}
	for _, label := range in.Label {
		name, value, ok := strings.Cut(label, ":")
		if !ok {
			return nil, huma.Error422UnprocessableEntity("the query is faulty", &huma.ErrorDetail{Location: "query.label", Value: label, Message: "want key:value"})
		}
		query.Labels[name] = value
	}
	if in.Cursor != "" {
		after, err := readCursor(in.Cursor)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("the query is faulty", &huma.ErrorDetail{Location: "query.cursor", Value: in.Cursor, Message: "want the next_cursor of the page before"})
		}
		query.After = after
	}
	views, err := a.tasks.Tasks(ctx, query)
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	out := &pageAnswer{}
	out.Body.Tasks = make([]task, 0, len(views))
	for i, v := range views {
		if i == in.Limit { // one more than asked for: there is a next page
			out.Body.NextCursor = cursor(views[i-1].Key)
			break
		}
		out.Body.Tasks = append(out.Body.Tasks, show(v))
	}
	return out, nil
}

// cursor is a place in the list of tasks, opaque to those who are given it.
func cursor(k watcher.Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.String()))
}

func readCursor(s string) (k watcher.Key, err error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return k, err
	}
	app, id, _ := strings.Cut(string(text), "/")
	k.TaskID = id
	k.SDKAppID, err = strconv.ParseInt(app, 10, 64)
	return k, err
}

func (a *taskAPI) get(ctx context.Context, in *taskPath) (*struct{ Body task }, error) {
	view, err := a.tasks.Task(ctx, in.key())
	if err != nil {
		return nil, a.failure(ctx, err)
	}
	return &struct{ Body task }{show(view)}, nil
}

func (a *taskAPI) remove(ctx context.Context, in *taskPath) (*struct{}, error) {
	return nil, a.failure(ctx, a.tasks.Remove(ctx, in.key()))
}
