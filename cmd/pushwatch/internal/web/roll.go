package web

import (
	"context"
	"slices"
	"strings"

	"pushwatch/watcher"
)

// A roll tells how the watching of all accounts goes, whichever process does it.
type roll struct {
	tasks   Tasks
	members func(context.Context) ([]watcher.Member, error) // nil: there are no others
	self    string
}

// call returns the accounts, by name, and the members. Those that others watch are as
// they were some seconds ago. With an error it returns what this process watches.
func (r *roll) call(ctx context.Context) ([]watcher.AccountStatus, []watcher.Member, error) {
	all := r.tasks.Status()
	if r.members == nil {
		return all, nil, nil
	}
	for i := range all {
		all[i].Member = r.self
	}
	members, err := r.members(ctx)
	for _, m := range members {
		for _, s := range m.Status {
			if m.Name != r.self && slices.Contains(m.Accounts, s.Name) {
				s.Member = m.Name
				if !m.Live {
					s.Unheard = m.BeatAt
				}
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b watcher.AccountStatus) int { return strings.Compare(a.Name, b.Name) })
	// Just after an account has moved, both may tell of it: this process knows better.
	all = slices.CompactFunc(all, func(a, b watcher.AccountStatus) bool { return a.Name == b.Name })
	return all, members, err
}

// accounts returns the accounts alone: all that can be told of.
func (r *roll) accounts(ctx context.Context) []watcher.AccountStatus {
	all, _, _ := r.call(ctx)
	return all
}
