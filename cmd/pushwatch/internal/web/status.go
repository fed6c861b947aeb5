package web

import (
	"context"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher"
)

func (a *apiServer) getStatus(ctx context.Context, _ *struct{}) (api.Status, error) {
	out := api.Status{Instance: a.Instance, Version: a.Version, Accounts: []api.AccountStatus{}, Members: []api.Member{}}
	accounts, members, err := a.readAccounts(ctx)
	for _, s := range accounts {
		out.Accounts = append(out.Accounts, showAccount(s))
	}
	for _, m := range members {
		out.Members = append(out.Members, api.Member{
			Name: m.Name, Live: m.Live, Self: m.Name == a.Member, Since: m.Since, LastBeatAt: m.BeatAt,
			Accounts: append([]string{}, m.Accounts...),
		})
	}
	if err == nil {
		out.Notifiers, err = showNotifiers(ctx, a.Dispatcher)
	}
	return out, err
}

func showAccount(s watcher.AccountStatus) api.AccountStatus {
	out := api.AccountStatus{
		Name: s.Name, Member: s.Member, Limit: s.Limit, Granted: s.Granted, Used: s.Used,
		Tasks:      api.StateCounts{Registered: s.Tasks[watcher.Registered], Preparing: s.Tasks[watcher.Preparing], Pushing: s.Tasks[watcher.Pushing]},
		Unobserved: s.Unobserved, BlindPushes: s.BlindPushes, StalenessSeconds: s.Staleness.Seconds(), LapSeconds: s.Round.Seconds(), StoreFailingSince: timeOrNull(s.StoreFailed),
		Starts:  api.Lateness{ExpectedSeconds: s.Starts.Expected.Seconds(), SeenSeconds: s.Starts.Seen.Seconds()},
		Stops:   api.Lateness{ExpectedSeconds: s.Stops.Expected.Seconds(), SeenSeconds: s.Stops.Seen.Seconds()},
		Outages: []api.Outage{},
	}
	for _, d := range s.Outages {
		shown := api.Outage{Since: utc(d.Since), Error: (*api.CloudError)(d.Cause), Announced: d.Reported, Tasks: d.Tasks}
		if d.SDKAppID != 0 {
			shown.SDKAppID = &d.SDKAppID
		}
		out.Outages = append(out.Outages, shown)
		out.Blind = out.Blind || d.Reported
	}
	return out
}
