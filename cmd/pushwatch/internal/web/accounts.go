package web

import (
	"context"
	"slices"
	"strings"

	"pushwatch/watcher"
)

// readAccounts returns the accounts of all processes, by name, and the members. The status of
// other processes' accounts is some seconds old. With an error it returns only this process's
// accounts.
func (cfg *Config) readAccounts(ctx context.Context) ([]watcher.AccountStatus, []watcher.Member, error) {
	all := cfg.Tasks.Status()
	if cfg.Members == nil {
		return all, nil, nil
	}
	for i := range all {
		all[i].Member = cfg.Member
	}
	members, err := cfg.Members(ctx)
	for _, m := range members {
		for _, s := range m.Status {
			if m.Name != cfg.Member && slices.Contains(m.Accounts, s.Name) {
				s.Member = m.Name
				if !m.Live {
					s.Unheard = m.BeatAt
				}
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b watcher.AccountStatus) int { return strings.Compare(a.Name, b.Name) })
	// Just after an account has moved, both processes may report it: this one knows better.
	all = slices.CompactFunc(all, func(a, b watcher.AccountStatus) bool { return a.Name == b.Name })
	return all, members, err
}

// accounts returns those accounts whose status can be read.
func (cfg *Config) accounts(ctx context.Context) []watcher.AccountStatus {
	all, _, _ := cfg.readAccounts(ctx)
	return all
}
