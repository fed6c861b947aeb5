package sqlstore

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A snapshot is the accounts and members that a replica has read.
type snapshot struct {
	accounts []accountSeen
	members  map[string][]string // of the live ones: the accounts that their settings name
	expiry   time.Duration       // until the first of the other members' heartbeats expires; 0: there are none
}

// An accountSeen is an account in a snapshot.
type accountSeen struct {
	name  string
	owner string // may be dead; empty: none
	epoch int64
	shard int64

	lastEvent, lastDelivery, lastNote int64
}

// share decides which free accounts a member takes, and which of its own it releases, so
// that accounts are spread evenly among the live members that have them in their settings.
// Every member decides for itself, at about the same time. Members with the same snapshot
// never take the same account; with different snapshots, the database decides.
//
// A member's fair part is the sum of 1/k over all accounts that it and k-1 others could
// own. A free account goes to the candidate that has least relative to its part; accounts
// with few candidates come first. A member releases accounts above its part, rounded up, or
// rounded down if another member has less than that.
func (s *snapshot) share(me string) (take []accountSeen, give []string) {
	candidates := make(map[string][]string)
	for _, member := range slices.Sorted(maps.Keys(s.members)) {
		for _, name := range s.members[member] {
			candidates[name] = append(candidates[name], member)
		}
	}
	load, part := make(map[string]int), make(map[string]float64)
	var free, mine []accountSeen
	for _, a := range s.accounts {
		for _, m := range candidates[a.name] {
			part[m] += 1 / float64(len(candidates[a.name]))
		}
		switch _, live := s.members[a.owner]; {
		case live:
			load[a.owner]++
			if a.owner == me {
				mine = append(mine, a)
			}
		case len(candidates[a.name]) > 0:
			free = append(free, a)
		}
	}
	const rounding = 1e-9 // of the sums
	excess := func(m string) float64 { return math.Round((float64(load[m]) - part[m]) / rounding) }
	hasLeast := func(name string) string {
		return slices.MinFunc(candidates[name], func(m, n string) int { return cmp.Compare(excess(m), excess(n)) })
	}
	slices.SortFunc(free, func(a, b accountSeen) int {
		return cmp.Or(cmp.Compare(len(candidates[a.name]), len(candidates[b.name])), strings.Compare(a.name, b.name))
	})
	for _, a := range free {
		to := hasLeast(a.name)
		load[to]++
		if to == me {
			take = append(take, a)
		}
	}

	most := func(m string) int { return int(math.Ceil(part[m] - rounding)) }
	least := func(m string) int { return int(math.Floor(part[m] + rounding)) }
	for _, a := range mine {
		if !slices.Contains(candidates[a.name], me) {
			continue // plan ended it
		}
		to := hasLeast(a.name)
		if load[me] > most(me) && load[to] < most(to) || load[me] > least(me) && load[to] < least(to) {
			give = append(give, a.name)
			load[me]--
			load[to]++
		}
	}
	return take, give
}

// readSnapshot reads which members are live and who owns what. It reads the owners first, so
// that it finds every owner's heartbeat: a member's first heartbeat is older than anything it
// owns.
func (r *Replica) readSnapshot(ctx context.Context) (*snapshot, error) {
	s := &snapshot{members: make(map[string][]string)}
	from := pool{r.db, r.db.heartbeats}
	var err error
	s.accounts, err = list(ctx, from, func(scan scanner) (a accountSeen, err error) {
		err = scan(&a.name, &a.shard, &a.owner, &a.epoch, &a.lastEvent, &a.lastDelivery, &a.lastNote)
		return a, err
	}, `SELECT name, shard, COALESCE(owner, ''), epoch, last_event, last_delivery, last_note FROM accounts`)
	if err != nil {
		return nil, err
	}
	err = from.each(ctx, func(scan scanner) error {
		var member string
		var names []string
		var left int64
		err := scan(&member, jsonText{&names}, &left)
		if d := time.Duration(left) * time.Microsecond; member != r.name && (s.expiry == 0 || d < s.expiry) {
			s.expiry = d
		}
		s.members[member] = names
		return err
	}, `SELECT name, accounts, expires_at - at FROM (
			SELECT name, accounts, beat_at + CAST(? AS BIGINT) AS expires_at, `+clockNow+` AS at FROM members) AS m
		WHERE expires_at > at`, r.db.ttl.Microseconds())
	return s, err
}

// Members returns the live members, and then the dead ones whose rows still exist, each
// sorted by name.
func (db *DB) Members(ctx context.Context) ([]watcher.Member, error) {
	owned := make(map[string][]string)
	err := db.each(ctx, func(scan scanner) error {
		var owner, name string
		err := scan(&owner, &name)
		owned[owner] = append(owned[owner], name)
		return err
	}, `SELECT owner, name FROM accounts WHERE owner IS NOT NULL ORDER BY name`)
	var members []watcher.Member
	if err == nil {
		members, err = list(ctx, db, func(scan scanner) (watcher.Member, error) {
			var m watcher.Member
			err := scan(&m.Name, (*moment)(&m.Since), (*moment)(&m.BeatAt), jsonText{&m.Status}, &m.Live)
			m.Accounts = owned[m.Name]
			return m, wrap(err, "decode member %s", m.Name)
		}, `SELECT name, since, beat_at, COALESCE(status, '[]'), beat_at > `+clockNow+` - CAST(? AS BIGINT) AS live
			FROM members ORDER BY live DESC, name`, db.ttl.Microseconds())
	}
	return members, wrap(err, "read members")
}
