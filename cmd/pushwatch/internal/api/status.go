package api

import "time"

// Status is the state of polling and delivery.
type Status struct {
	Instance  string          `json:"instance" doc:"The installation's name." example:"classroom-sg-1"`
	Version   string          `json:"version" doc:"The program's version." example:"1.4.0"`
	Accounts  []AccountStatus `json:"accounts" doc:"All accounts, by name. The data of other processes' accounts is some seconds old."`
	Members   []Member        `json:"members" doc:"The processes that share the database and the accounts, live ones first; empty with SQLite."`
	Notifiers []Notifier      `json:"notifiers" doc:"As in /v1/notifiers."`
}

// A Member is a process that shares the database and the accounts.
type Member struct {
	Name       string    `json:"name" doc:"The process's name: its host and a suffix that differs at each start." example:"node-1-k7q2xw"`
	Live       bool      `json:"live" doc:"Its heartbeat is recent enough to keep its accounts."`
	Self       bool      `json:"self" doc:"It is the process that answers this request."`
	Since      time.Time `json:"since" doc:"When it joined, by the database's clock."`
	LastBeatAt time.Time `json:"last_beat_at" doc:"Its last heartbeat, by the database's clock."`
	Accounts   []string  `json:"accounts" doc:"The accounts that it owns, by name." example:"[\"school\"]"`
}

// AccountStatus is the state of polling an account.
type AccountStatus struct {
	Name              string      `json:"name" example:"school"`
	Member            string      `json:"member" doc:"The process that owns it; empty with SQLite." example:"node-1-k7q2xw"`
	Blind             bool        `json:"blind" doc:"The account or one of its applications cannot be observed, and watcher.blind was sent."`
	Outages           []Outage    `json:"dark" doc:"The account or applications that cannot be observed now, whether watcher.blind was sent or not."`
	Limit             float64     `json:"requests_per_second_limit" doc:"The limit in the settings, in requests per second." example:"20"`
	Granted           float64     `json:"requests_per_second_granted" doc:"The current limit, in requests per second: lower than that in the settings while others use the account's quota." example:"20"`
	Used              float64     `json:"requests_per_second_used" doc:"The requests per second over the last minute." example:"12.4"`
	Tasks             StateCounts `json:"tasks" doc:"Live tasks by state."`
	Unobserved        int         `json:"unobserved" doc:"Live tasks that were never observed." example:"0"`
	BlindPushes       int         `json:"blind_pushes" doc:"Live tasks that cannot be observed although their application can: push.blind was sent." example:"0"`
	StalenessSeconds  float64     `json:"staleness_seconds" doc:"Age of the oldest observation of a live task." example:"1.9"`
	LapSeconds        float64     `json:"lap_seconds" doc:"The time in which every live task can be polled once." example:"6.1"`
	Starts            Lateness    `json:"starts" doc:"How late starts of pushes are observed."`
	Stops             Lateness    `json:"stops" doc:"How late stops of pushes are observed. If this is too late for your classes, ask Tencent for a higher limit."`
	StoreFailingSince *time.Time  `json:"store_failing_since" doc:"Since when observations cannot be saved; null: they can."`
}

// Lateness is the mean time from a change to its observation.
type Lateness struct {
	ExpectedSeconds float64 `json:"expected_seconds" doc:"As the schedule currently expects; 0: no such change was due recently." example:"2.4"`
	SeenSeconds     float64 `json:"seen_seconds" doc:"Recently measured, from PushStartTime or PushStopTime to the observation; 0: none was observed recently." example:"2.1"`
}

// StateCounts are live tasks by state.
type StateCounts struct {
	Registered int `json:"registered" doc:"Not observed yet." example:"1"`
	Preparing  int `json:"preparing" example:"3"`
	Pushing    int `json:"pushing" example:"118"`
}

// An Outage is an account or an application that cannot be observed.
type Outage struct {
	SDKAppID  *int64      `json:"sdk_app_id" doc:"The application; null: the whole account." example:"1400000001"`
	Since     time.Time   `json:"since" doc:"When the first failed poll was made."`
	Error     *CloudError `json:"error" doc:"The error of the latest poll."`
	Announced bool        `json:"told" doc:"It has lasted for watch.blind_after, and watcher.blind was sent."`
	Tasks     int         `json:"tasks" doc:"How many live tasks it concerns." example:"120"`
}
