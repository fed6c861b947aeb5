package api

import "time"

// Status is how the watching and the delivering go.
type Status struct {
	Instance  string          `json:"instance" doc:"Names the installation." example:"classroom-sg-1"`
	Version   string          `json:"version" doc:"Of the program." example:"1.4.0"`
	Accounts  []AccountStatus `json:"accounts" doc:"The accounts that are watched, by name: by this process, and by others as they were some seconds ago."`
	Members   []Member        `json:"members" doc:"The processes that share the database and the accounts, those that live first; empty with SQLite."`
	Notifiers []Notifier      `json:"notifiers" doc:"As in /v1/notifiers: the backlog of each, and what it lost."`
}

// A Member is a process that shares the database and the accounts.
type Member struct {
	Name       string    `json:"name" doc:"Of the process: its host, and a part that differs with each start." example:"node-1-k7q2xw"`
	Live       bool      `json:"live" doc:"It was heard of recently enough to keep its accounts."`
	Self       bool      `json:"self" doc:"It is the process that answers."`
	Since      time.Time `json:"since" doc:"When it joined, by the database's clock."`
	LastBeatAt time.Time `json:"last_beat_at" doc:"When it was last heard of, by the database's clock."`
	Accounts   []string  `json:"accounts" doc:"The accounts that it owns, by name." example:"[\"school\"]"`
}

// AccountStatus is how the watching of an account goes.
type AccountStatus struct {
	Name              string      `json:"name" example:"school"`
	Member            string      `json:"member" doc:"The process that watches it; empty with SQLite." example:"node-1-k7q2xw"`
	Blind             bool        `json:"blind" doc:"The account, or an application of it, cannot be observed, and watcher.blind was told."`
	Outages           []Outage    `json:"dark" doc:"What cannot be observed now, told or not yet told."`
	Limit             float64     `json:"requests_per_second_limit" doc:"Requests a second that the settings allow." example:"20"`
	Granted           float64     `json:"requests_per_second_granted" doc:"Requests a second that are made at most now: less than the limit while others use the account's quota." example:"20"`
	Used              float64     `json:"requests_per_second_used" doc:"Requests a second that were made, over the last minute." example:"12.4"`
	Tasks             StateCounts `json:"tasks" doc:"Live tasks by state."`
	Unobserved        int         `json:"unobserved" doc:"Live tasks that were never observed." example:"0"`
	BlindPushes       int         `json:"blind_pushes" doc:"Live tasks of which each alone cannot be observed, though its application can: push.blind was reported." example:"0"`
	StalenessSeconds  float64     `json:"staleness_seconds" doc:"Age of the oldest observation of a live task." example:"1.9"`
	LapSeconds        float64     `json:"lap_seconds" doc:"In how many seconds every live task can be polled once." example:"6.1"`
	Starts            Lateness    `json:"starts" doc:"How late the start of a push is seen."`
	Stops             Lateness    `json:"stops" doc:"How late the stop of a push is seen. Where this is more than a class can bear, ask Tencent for a higher limit."`
	StoreFailingSince *time.Time  `json:"store_failing_since" doc:"Since when nothing that is observed can be saved; null: it can."`
}

// Lateness is how long after it happened a change is seen, on average.
type Lateness struct {
	ExpectedSeconds float64 `json:"expected_seconds" doc:"As the schedule expects it of late; 0: nothing of the kind was due." example:"2.4"`
	SeenSeconds     float64 `json:"seen_seconds" doc:"From the push's own PushStartTime or PushStopTime to the poll that saw it, of late; 0: none was seen." example:"2.1"`
}

// StateCounts are live tasks by state.
type StateCounts struct {
	Registered int `json:"registered" doc:"Not yet seen." example:"1"`
	Preparing  int `json:"preparing" example:"3"`
	Pushing    int `json:"pushing" example:"118"`
}

// An Outage is an account or an application that cannot be observed.
type Outage struct {
	SDKAppID  *int64      `json:"sdk_app_id" doc:"The application; null: the whole account." example:"1400000001"`
	Since     time.Time   `json:"since" doc:"When the first poll that told nothing was made."`
	Error     *CloudError `json:"error" doc:"What the newest poll met."`
	Announced bool        `json:"told" doc:"It has lasted for watch.blind_after, and watcher.blind was told."`
	Tasks     int         `json:"tasks" doc:"How many live tasks it concerns." example:"120"`
}
