package web

import (
	"context"
	"slices"
	"strings"

	"pushwatch/watcher"
)

// An accountReader reads the status of all accounts, including those of other processes.
type accountReader struct {
	tasks   Tasks
	members func(context.Context) ([]watcher.Member, error) // nil: there are no others
	self    string
}

// read returns the accounts, by name, and the members. The status of other processes'
// accounts is some seconds old. With an error it returns only this process's accounts.
func (r *accountReader) read(ctx context.Context) ([]watcher.AccountStatus, []watcher.Member, error) {
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
	// Just after an account has moved, both processes may report it: this one knows better.
	all = slices.CompactFunc(all, func(a, b watcher.AccountStatus) bool { return a.Name == b.Name })
	return all, members, err
}

// readable returns those accounts whose status can be read.
func (r *accountReader) readable(ctx context.Context) []watcher.AccountStatus {
	all, _, _ := r.read(ctx)
	return all
}
