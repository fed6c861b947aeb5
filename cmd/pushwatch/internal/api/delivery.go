package api

import "time"

// A Delivery is one event on its way to one notifier.
type Delivery struct {
	ID            string     `json:"id" example:"dlv_1_42"`
	EventID       string     `json:"event_id" example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
	Type          string     `json:"type" doc:"The event's type." example:"push.stopped"`
	Subject       string     `json:"subject" doc:"The event's subject." example:"1400000001/ghucnligqtgtvk2624mb"`
	Notifier      string     `json:"notifier" doc:"The notifier that receives it." example:"classroom"`
	State         string     `json:"state" enum:"pending,delivered,dead" doc:"dead: it failed permanently, and is kept until it is retried."`
	Attempts      int        `json:"attempts" minimum:"0" doc:"Counted attempts since it was made or last retried. An attempt does not count if its address is refused, its proxy fails or the notifier is down." example:"1"`
	NextAttemptAt *time.Time `json:"next_attempt_at" doc:"When a pending delivery is retried; null: as soon as possible, or it is settled."`
	LastError     string     `json:"last_error" doc:"Why the last attempt failed; empty: it succeeded, or there was none." example:"answer 503"`
	WaitsFor      string     `json:"waits_for" doc:"What a pending delivery waits for, as text: its retry, an earlier event of the same push, or the notifier; empty: it is settled." example:"its retry at 2026-11-22T18:16:20Z"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at" doc:"When it was delivered or became dead; null: it is pending."`
}

// Deliveries is a page of deliveries.
type Deliveries struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor string     `json:"next_cursor" doc:"Cursor of the next page; empty: this is the last."`
}

// A DeliveryDetail is a delivery with its attempts.
type DeliveryDetail struct {
	Delivery
	Log []Attempt `json:"log" doc:"The attempts, oldest first. Of uncounted ones, the last few."`
}

// An Attempt is one try of a delivery.
type Attempt struct {
	At         time.Time `json:"at" doc:"When it began."`
	Status     int       `json:"status" doc:"The HTTP status of the answer; 0: no answer." example:"503"`
	Error      string    `json:"error" doc:"Why it failed; empty: it succeeded."`
	Counts     bool      `json:"counts" doc:"Whether it counts against the delivery."`
	DurationMS int64     `json:"duration_ms" minimum:"0" doc:"How long it took, in milliseconds." example:"35"`
}

// A Replay selects dead deliveries of a notifier to deliver again.
type Replay struct {
	Notifier string    `json:"notifier" minLength:"1" maxLength:"100" doc:"Its name in the settings." example:"classroom"`
	Since    time.Time `json:"since,omitzero" doc:"Only deliveries made at or after this time." example:"2026-11-22T18:00:00Z"`
	Until    time.Time `json:"until,omitzero" doc:"Only deliveries made before this time." example:"2026-11-22T19:00:00Z"`
}

// A ReplayResult is the answer to a [Replay].
type ReplayResult struct {
	Replayed int `json:"replayed" doc:"How many deliveries were queued again." example:"12"`
}
