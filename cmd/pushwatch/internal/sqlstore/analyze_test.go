package sqlstore

import "testing"

// TestGrowth holds that statistics are gathered after 1,000 rows, then after twice as many
// each time, however the rows come.
func TestGrowth(t *testing.T) {
	var g growth
	for _, step := range []struct {
		rows int
		want bool
	}{{999, false}, {1, true}, {1000, false}, {999, false}, {1, true}, {3999, false}, {10_000, true}, {7999, false}, {1, true}} {
		if got := g.add(step.rows); got != step.want {
			t.Errorf("add(%d) = %t, want %t; %d rows since", step.rows, got, step.want, g.rows)
		}
	}
}
