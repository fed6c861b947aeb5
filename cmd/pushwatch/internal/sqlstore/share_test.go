package sqlstore

import (
	"fmt"
	"testing"
)

// settle has members share accounts until nobody wants to move one any more, all
// seeing the same at a time, and returns how many each has and how often one moved.
// Where two take the same account, it is the first one's.
func settle(t *testing.T, c *snapshot) (loads map[string]int, moves int) {
	t.Helper()
	for range 20 {
		still := true
		taken := make(map[string]bool)
		now := snapshot{members: c.members, accounts: append([]accountSeen(nil), c.accounts...)}
		for member := range c.members {
			take, give := now.share(member)
			for i := range c.accounts {
				a := &c.accounts[i]
				for _, x := range take {
					if x.name == a.name && !taken[a.name] {
						taken[a.name] = true
						a.owner = member
						moves++
						still = false
					}
				}
				for _, name := range give {
					if name == a.name {
						a.owner = ""
						still = false
					}
				}
			}
		}
		if still {
			break
		}
	}
	loads = make(map[string]int)
	for _, a := range c.accounts {
		loads[a.owner]++
	}
	return loads, moves
}

func TestShare(t *testing.T) {
	t.Parallel()
	accounts := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("a%02d", i))
		}
		return names
	}
	for _, test := range []struct {
		name    string
		owners  map[string]int // how many accounts each has before
		members map[string][]string
		want    map[string]int // afterwards, at least
		moves   int            // at most
	}{
		{"one takes all", nil, map[string][]string{"x": accounts(7)}, map[string]int{"x": 7}, 7},
		{"two from the start", nil, map[string][]string{"x": accounts(8), "y": accounts(8)}, map[string]int{"x": 4, "y": 4}, 8},
		{"one joins", map[string]int{"x": 30}, map[string][]string{"x": accounts(30), "y": accounts(30)}, map[string]int{"x": 15, "y": 15}, 15},
		{"a third joins", map[string]int{"x": 15, "y": 15}, map[string][]string{"x": accounts(30), "y": accounts(30), "z": accounts(30)}, map[string]int{"x": 10, "y": 10, "z": 10}, 10},
		{"one dies", map[string]int{"x": 10, "y": 10, "dead": 10}, map[string][]string{"x": accounts(30), "y": accounts(30)}, map[string]int{"x": 15, "y": 15}, 10},
		{"more members than accounts", map[string]int{"x": 1}, map[string][]string{"x": accounts(1), "y": accounts(1)}, map[string]int{"x": 1}, 0},
		{"as even as can be", map[string]int{"x": 4}, map[string][]string{"x": accounts(4), "y": accounts(4), "z": accounts(4)}, map[string]int{"x": 1, "y": 1, "z": 1}, 2},
		{"rests are left where they are", map[string]int{"x": 2, "y": 1}, map[string][]string{"x": accounts(3), "y": accounts(3)}, map[string]int{"x": 2, "y": 1}, 0},
		{"different settings", map[string]int{"x": 2}, map[string][]string{"x": accounts(4), "y": accounts(2)}, map[string]int{"x": 3, "y": 1}, 5},
		{"more than its part, though fewer than another", map[string]int{"x": 2}, map[string][]string{"x": accounts(2), "y": accounts(12)}, map[string]int{"x": 1, "y": 11}, 11},
		{"only one may have the last", nil, map[string][]string{"x": accounts(4), "y": accounts(1)}, map[string]int{"x": 3}, 6},
		{"named by nobody", nil, map[string][]string{"x": nil}, map[string]int{"": 1}, 0},
	} {
		all := make(map[string]bool)
		for _, names := range test.members {
			for _, name := range names {
				all[name] = true
			}
		}
		c := snapshot{members: test.members}
		for i := range max(1, len(all)) {
			c.accounts = append(c.accounts, accountSeen{name: fmt.Sprintf("a%02d", i)})
		}
		next := 0
		for owner, n := range test.owners {
			for range n {
				c.accounts[next].owner = owner
				next++
			}
		}
		loads, moves := settle(t, &c)
		for member, want := range test.want {
			if loads[member] < want {
				t.Errorf("%s: %s has %d, want %d: %v", test.name, member, loads[member], want, loads)
			}
		}
		if moves > test.moves {
			t.Errorf("%s: %d accounts moved, want at most %d", test.name, moves, test.moves)
		}
	}
}
