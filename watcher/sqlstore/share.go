package sqlstore

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// A census is what a replica sees of all accounts and members at a time.
type census struct {
	accounts []accountSeen
	members  map[string][]string // of the live ones: the accounts that their settings name
}

// An accountSeen is an account in a census.
type accountSeen struct {
	name  string
	owner string // may be dead; empty: none
	epoch int64
	shard int64

	lastEvent, lastDelivery, lastNote int64
}

// share decides what a member should take of what nobody has, and give back of what
// it has, for the accounts to be spread evenly among the live members whose settings
// name them. Members decide at the same time and alone, so this is what to try: who
// takes what, the database decides.
//
// A member's quota is its fair part, rounded up: an account that k members could own
// counts 1/k for each. Accounts that few could own are taken first, and beyond the
// quota too where all others that could own them have theirs, so that none is left
// over. Nothing is given back but to a member that is below its quota.
func (c *census) share(me string) (take []accountSeen, give []string) {
	candidates := make(map[string][]string)
	for member, names := range c.members {
		for _, name := range names {
			candidates[name] = append(candidates[name], member)
		}
	}
	load, parts := make(map[string]int), make(map[string]float64)
	var free, mine []accountSeen
	for _, a := range c.accounts {
		for _, m := range candidates[a.name] {
			parts[m] += 1 / float64(len(candidates[a.name]))
		}
		_, live := c.members[a.owner]
		switch {
		case a.owner == me:
			mine = append(mine, a)
			load[me]++
		case live:
			load[a.owner]++
		case slices.Contains(candidates[a.name], me):
			free = append(free, a)
		}
	}
	below := func(m string) bool {
		const rounding = 1e-9 // of the sums
		return load[m] < int(math.Ceil(parts[m]-rounding))
	}

	byCandidates := func(a, b accountSeen) int { return cmp.Compare(len(candidates[a.name]), len(candidates[b.name])) }
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] }) // members are seldom after the same
	slices.SortStableFunc(free, byCandidates)
	for _, a := range free {
		if below(me) || !slices.ContainsFunc(candidates[a.name], below) {
			take = append(take, a)
			load[me]++
		}
	}
	slices.SortStableFunc(mine, func(a, b accountSeen) int { return byCandidates(b, a) })
	for _, a := range mine {
		load[me]--
		if below(me) { // it needs this one
			load[me]++
			break
		}
		if i := slices.IndexFunc(candidates[a.name], below); i >= 0 && candidates[a.name][i] != me {
			load[candidates[a.name][i]]++
			give = append(give, a.name)
		} else {
			load[me]++
		}
	}
	return take, give
}
