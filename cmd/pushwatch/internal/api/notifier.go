package api

import "time"

// A Notifier is a configured receiver of events.
type Notifier struct {
	Name        string     `json:"name" example:"classroom"`
	Type        string     `json:"type" enum:"webhook,log,chat"`
	URL         string     `json:"url" doc:"Where it is, without secrets; empty: nowhere." example:"https://classroom.example"`
	State       string     `json:"state" enum:"active,down,paused,gone" doc:"down: it does not answer, and is probed until it does. paused: its deliveries wait. gone: it has answered 410, and its deliveries go to dead letter until it is resumed."`
	PausedUntil *time.Time `json:"paused_until" doc:"Until when it has asked for silence (Retry-After); null: it has not."`
	NextProbeAt *time.Time `json:"next_probe_at" doc:"When it is probed next; null: it is not down."`
	Pending     int        `json:"pending" minimum:"0" doc:"Deliveries that wait. May be some seconds old." example:"0"`
	Waiting     float64    `json:"oldest_pending_seconds" minimum:"0" doc:"For how long the oldest of them has waited; 0: none does." example:"0"`
	Dead        int        `json:"dead" minimum:"0" doc:"Deliveries that were given up. May be some seconds old." example:"0"`
	LastError   string     `json:"last_error" doc:"Why its last failed attempt failed; empty: a delivery has succeeded since, or none failed."`
}

// Notifiers are all notifiers, in the order of the settings.
type Notifiers struct {
	Notifiers []Notifier `json:"notifiers"`
}

// A TestResult names the event that a test of a notifier sends.
type TestResult struct {
	EventID string `json:"event_id" doc:"The event's id, and the webhook-id of its webhook." example:"msg_v2j0nj95uia5me7t7pcvhs125h"`
}
