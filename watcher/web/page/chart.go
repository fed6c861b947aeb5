package page

import (
	"fmt"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A chart is the picture of an account's polls over the last hour, in a box that
// is chartWidth wide, a unit for each second, and chartHeight high.
type chart struct {
	Area    string  // path below the polls that were made
	Used    string  // path of the polls that were made
	Granted string  // path of those that could have been
	Limit   float64 // height of those that the settings allow
	Dark    []band  // where something could not be observed
	Label   string  // what the picture says, in words
}

const (
	chartWidth  = 3600
	chartHeight = 100
	headroom    = 1.08 // how far the picture reaches above what is allowed
)

// A band is a part of the width.
type band struct{ X, Width int }

// draw makes the picture of an account's samples, the oldest first, and of how it
// is now.
func draw(s watcher.AccountStatus, past []sample, now time.Time) chart {
	all := append(past, sampleOf(s, now))
	top := 0.0
	for _, p := range all {
		top = max(top, p.limit, p.used)
	}
	y := func(rate float64) float64 { return chartHeight * (1 - rate/max(top*headroom, 1e-9)) }
	c := chart{
		Limit: y(s.Limit),
		Label: fmt.Sprintf("Polls a second over the last hour: %s now, %s granted, %s allowed.", decimal(s.Used), decimal(s.Granted), decimal(s.Limit)),
	}
	var used, granted strings.Builder
	var first, last int
	for i, p := range all {
		x, verb := max(0, chartWidth-int(now.Sub(p.at).Seconds())), "L"
		if i == 0 {
			first, verb = x, "M"
		}
		fmt.Fprintf(&used, "%s%d %.1f", verb, x, y(p.used))
		if i > 0 && all[i-1].granted != p.granted { // in steps
			fmt.Fprintf(&granted, "L%d %.1f", x, y(all[i-1].granted))
		}
		if i == 0 || i == len(all)-1 || all[i-1].granted != p.granted {
			fmt.Fprintf(&granted, "%s%d %.1f", verb, x, y(p.granted))
		}
		if n := len(c.Dark); i > 0 && all[i-1].dark {
			if n > 0 && c.Dark[n-1].X+c.Dark[n-1].Width == last { // it goes on
				c.Dark[n-1].Width += x - last
			} else {
				c.Dark = append(c.Dark, band{last, x - last})
			}
		}
		last = x
	}
	c.Used, c.Granted = used.String(), granted.String()
	c.Area = fmt.Sprintf("%sL%d %dL%d %dZ", c.Used, last, chartHeight, first, chartHeight)
	return c
}
