package api

import "time"

// A Registration is a push to watch.
type Registration struct {
	SDKAppID       int64             `json:"sdk_app_id,omitempty" doc:"SdkAppId of the whiteboard application. May be left out if only one is configured." example:"1400000001"`
	TaskID         string            `json:"task_id" doc:"TaskId that StartWhiteboardPush returned: 1 to 128 of A-Z a-z 0-9 _ -" example:"ghucnligqtgtvk2624mb"`
	ExpectedStopAt *time.Time        `json:"expected_stop_at,omitempty" doc:"The planned end of the push (RFC 3339). push.overdue is sent watch.overdue_after later." example:"2026-11-22T19:00:00Z"`
	Labels         map[string]string `json:"labels,omitempty" doc:"At most 16 labels, which each event of the task carries. Keys: 1 to 64 of a-z 0-9 _ . -; values: up to 256 bytes." example:"{\"course\":\"math-3b\"}"`
}

// A Batch is several pushes to watch, all or none.
type Batch struct {
	Tasks []Registration `json:"tasks" minItems:"1" maxItems:"10000"`
}

// A BatchResult is the answer to a [Batch].
type BatchResult struct {
	Created  int `json:"created" doc:"Tasks that are watched from now on."`
	Existing int `json:"existing" doc:"Tasks that were registered already, or occur twice in the batch."`
}

// An Amendment is a change of a registration.
type Amendment struct {
	ExpectedStopAt Optional[time.Time]         `json:"expected_stop_at,omitzero" doc:"The new planned end of the push (RFC 3339); null: unknown. push.overdue can be sent again." example:"2026-11-22T20:00:00Z"`
	Labels         Optional[map[string]string] `json:"labels,omitzero" doc:"The new labels, within the limits of a registration; they replace all present ones; null: none." example:"{\"course\":\"math-3b\"}"`
}

// A Task is a registered push.
type Task struct {
	SDKAppID       int64             `json:"sdk_app_id" example:"1400000001"`
	TaskID         string            `json:"task_id" example:"ghucnligqtgtvk2624mb"`
	Account        string            `json:"account" doc:"The account that watches it." example:"school"`
	State          string            `json:"state" enum:"registered,preparing,pushing,stopped,failed,not_found,abandoned" doc:"The last observed state. The last four are ends."`
	Labels         map[string]string `json:"labels"`
	ExpectedStopAt *time.Time        `json:"expected_stop_at" doc:"The planned end of the push; null: unknown."`
	RegisteredAt   time.Time         `json:"registered_at"`
	Sequence       int64             `json:"sequence" doc:"Number of the task's last event; 0: none yet."`
	Push           *Push             `json:"push" doc:"The last observation of the push; null before the first. Fields that the API left out are null."`
	Error          *CloudError       `json:"error" doc:"The API's last answer about this task, if it was an error; null: it was not."`
	LastObservedAt *time.Time        `json:"last_observed_at" doc:"When the last answer about this task arrived; null: none yet."`
	LastPolledAt   *time.Time        `json:"last_polled_at" doc:"When the last poll was sent, answered or not; null: none yet."`
	PollError      *PollError        `json:"poll_error" doc:"Why the latest polls yielded no observation; null: the latest one did."`
	BlindSince     *time.Time        `json:"blind_since" doc:"Since when this push cannot be observed although its application can; null: it can, or its application cannot."`
	NextPollAt     *time.Time        `json:"next_poll_at" doc:"When the task is due to be polled again; null: it has ended."`
	EndedAt        *time.Time        `json:"ended_at" doc:"When the end was observed; null: the task is live."`
}

// A PollError is why polls yielded no observation of a task.
type PollError struct {
	Code    string    `json:"code" doc:"The API's code, or what failed if it did not answer, such as timeout, network, http 502 or unreadable." example:"InternalError"`
	Message string    `json:"message"`
	Since   time.Time `json:"since" doc:"The time of the first of these polls."`
}

// Tasks is a page of tasks.
type Tasks struct {
	Tasks      []Task `json:"tasks"`
	NextCursor string `json:"next_cursor" doc:"Cursor of the next page; empty: this is the last."`
}

// A Push is an observation of a push: what Tencent's API answered.
type Push struct {
	Status         *string `json:"status" doc:"PREPARED, PUSHING, STOPPED, or a value that this version does not know."`
	FinishReason   *string `json:"finish_reason" doc:"AUTO, USER_CALL, EXCEPTION, or a value that this version does not know."`
	RoomID         *int64  `json:"room_id"`
	GroupID        *string `json:"group_id"`
	PushUserID     *string `json:"push_user_id"`
	PushStartTime  *int64  `json:"push_start_time" doc:"Unix seconds."`
	PushStopTime   *int64  `json:"push_stop_time" doc:"Unix seconds."`
	ExceptionCount *int64  `json:"exception_count" doc:"Exceptions during the push so far."`
	IMSyncTime     *int64  `json:"im_sync_time" doc:"IM timestamp of the first frame of the push."`
	Backup         *string `json:"backup" doc:"The API's result of the backup push."`
	RequestID      *string `json:"request_id" doc:"The API's id of the request."`
}

// A CloudError is an error from Tencent's API.
type CloudError struct {
	Code    string `json:"code" example:"InvalidParameter.TaskNotFound"`
	Message string `json:"message"`
}
