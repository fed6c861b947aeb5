package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// statusAPI serves /v1/status.
type statusAPI struct {
	roll      *roll
	notifiers Notifiers
	instance  string
	version   string
	log       *zap.Logger
}

// status tells how the watching and the telling go.
type status struct {
	Instance  string          `json:"instance" doc:"Names the installation." example:"classroom-sg-1"`
	Version   string          `json:"version" doc:"Of the program." example:"1.4.0"`
	Accounts  []accountStatus `json:"accounts" doc:"The accounts that are watched, by name: by this process, and by others as they were some seconds ago."`
	Members   []member        `json:"members" doc:"The processes that share the database and the accounts, those that live first; empty with SQLite."`
	Notifiers []notifier      `json:"notifiers" doc:"As in /v1/notifiers: the backlog of each, and what it lost."`
}

type member struct {
	Name       string    `json:"name" doc:"Of the process: its host, and a part that differs with each start." example:"node-1-k7q2xw"`
	Live       bool      `json:"live" doc:"It was heard of recently enough to keep its accounts."`
	Self       bool      `json:"self" doc:"It is the process that answers."`
	Since      time.Time `json:"since" doc:"When it joined, by the database's clock."`
	LastBeatAt time.Time `json:"last_beat_at" doc:"When it was last heard of, by the database's clock."`
	Accounts   []string  `json:"accounts" doc:"The accounts that it owns, by name." example:"[\"school\"]"`
}

type accountStatus struct {
	Name              string      `json:"name" example:"school"`
	Member            string      `json:"member" doc:"The process that watches it; empty with SQLite." example:"node-1-k7q2xw"`
	Blind             bool        `json:"blind" doc:"The account, or an application of it, cannot be observed, and watcher.blind was told."`
	Dark              []darkness  `json:"dark" doc:"What cannot be observed now, told or not yet told."`
	Limit             float64     `json:"requests_per_second_limit" doc:"Requests a second that the settings allow." example:"20"`
	Granted           float64     `json:"requests_per_second_granted" doc:"Requests a second that are made at most now: less than the limit while others use the account's quota." example:"20"`
	Used              float64     `json:"requests_per_second_used" doc:"Requests a second that were made, over the last minute." example:"12.4"`
	Tasks             stateCounts `json:"tasks" doc:"Live tasks by state."`
	StalenessSeconds  float64     `json:"staleness_seconds" doc:"Age of the oldest observation of a live task." example:"1.9"`
	LapSeconds        float64     `json:"lap_seconds" doc:"In how many seconds every live task can be polled once." example:"6.1"`
	Starts            lateness    `json:"starts" doc:"How late the start of a push is seen."`
	Stops             lateness    `json:"stops" doc:"How late the stop of a push is seen. Where this is more than a class can bear, ask Tencent for a higher limit."`
	StoreFailingSince *time.Time  `json:"store_failing_since" doc:"Since when nothing that is observed can be saved; null: it can."`
}

// lateness is how long after it happened a change is seen, on average.
type lateness struct {
	ExpectedSeconds float64 `json:"expected_seconds" doc:"As the schedule expects it of late; 0: nothing of the kind was due." example:"2.4"`
	SeenSeconds     float64 `json:"seen_seconds" doc:"From the push's own PushStartTime or PushStopTime to the poll that saw it, of late; 0: none was seen." example:"2.1"`
}

type stateCounts struct {
	Registered int `json:"registered" doc:"Not yet seen." example:"1"`
	Preparing  int `json:"preparing" example:"3"`
	Pushing    int `json:"pushing" example:"118"`
}

type darkness struct {
	SDKAppID *int64    `json:"sdk_app_id" doc:"The application; null: the whole account." example:"1400000001"`
	Since    time.Time `json:"since" doc:"When the first poll that told nothing was made."`
	Error    *apiError `json:"error" doc:"What the newest poll met."`
	Told     bool      `json:"told" doc:"It has lasted for watch.blind_after, and watcher.blind was told."`
	Tasks    int       `json:"tasks" doc:"How many live tasks it concerns." example:"120"`
}

func (a *statusAPI) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "get-status", Method: http.MethodGet, Path: "/v1/status", Tags: []string{"status"},
		Summary: "How the watching and the telling go",
	}, a.get)
}

func (a *statusAPI) get(ctx context.Context, _ *struct{}) (*struct{ Body status }, error) {
	out := status{Instance: a.instance, Version: a.version, Accounts: []accountStatus{}, Members: []member{}}
	accounts, members, err := a.roll.call(ctx)
	for _, s := range accounts {
		out.Accounts = append(out.Accounts, showAccount(s))
	}
	for _, m := range members {
		out.Members = append(out.Members, member{m.Name, m.Live, m.Name == a.roll.self, m.Since, m.BeatAt, append([]string{}, m.Accounts...)})
	}
	if err == nil {
		out.Notifiers, err = showNotifiers(ctx, a.notifiers)
	}
	if err != nil {
		return nil, failure(ctx, a.log, err)
	}
	return &struct{ Body status }{out}, nil
}

func showAccount(s watcher.AccountStatus) accountStatus {
	out := accountStatus{
		Name: s.Name, Member: s.Member, Limit: s.Limit, Granted: s.Granted, Used: s.Used,
		Tasks:            stateCounts{s.Tasks[watcher.Registered], s.Tasks[watcher.Preparing], s.Tasks[watcher.Pushing]},
		StalenessSeconds: s.Stalest.Seconds(), LapSeconds: s.Lap.Seconds(), StoreFailingSince: moment(s.StoreFailed),
		Starts: lateness{s.Starts.Expected.Seconds(), s.Starts.Seen.Seconds()},
		Stops:  lateness{s.Stops.Expected.Seconds(), s.Stops.Seen.Seconds()},
		Dark:   []darkness{},
	}
	for _, d := range s.Dark {
		shown := darkness{Since: *moment(d.Since), Error: (*apiError)(d.Cause), Told: d.Told, Tasks: d.Tasks}
		if d.SDKAppID != 0 {
			shown.SDKAppID = &d.SDKAppID
		}
		out.Dark = append(out.Dark, shown)
		out.Blind = out.Blind || d.Told
	}
	return out
}
