package api

import "time"

// A Notifier is a configured receiver of events.
type Notifier struct {
	Name        string     `json:"name" example:"classroom"`
	Type        string     `json:"type" enum:"webhook,log,chat"`
	URL         string     `json:"url" doc:"Its URL without secrets; empty: it has none." example:"https://classroom.example"`
	State       string     `json:"state" enum:"active,down,paused,gone" doc:"down: it does not answer, and is probed. paused: its deliveries wait. gone: it answered 410, and its deliveries go to dead letter until it is resumed."`
	PausedUntil *time.Time `json:"paused_until" doc:"The end of a pause that it asked for (Retry-After); null: none."`
	NextProbeAt *time.Time `json:"next_probe_at" doc:"When it is probed next; null: it is not down."`
	Pending     int        `json:"pending" minimum:"0" doc:"Pending deliveries; may be some seconds out of date." example:"0"`
	Waiting     float64    `json:"oldest_pending_seconds" minimum:"0" doc:"How long the oldest pending delivery has waited; 0: none is pending." example:"0"`
	Dead        int        `json:"dead" minimum:"0" doc:"Dead letters; may be some seconds out of date." example:"0"`
	LastError   string     `json:"last_error" doc:"Why the last failed attempt failed; empty: none failed since the last success."`
}

// Notifiers are all notifiers, in the order of the settings.
type Notifiers struct {
	Notifiers []Notifier `json:"notifiers"`
}

// A TestResult is the answer to a test of a notifier.
type TestResult struct {
	EventID string `json:"event_id" doc:"The event's id, and the webhook-id of its webhook." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
}
