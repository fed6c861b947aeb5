package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A chart is the picture of how the watching of an account went over the last hour:
// panels under each other on one axis of time. What is not known is left open.
type chart struct {
	Panels []panel
	Bands  []band  // behind the lines of each panel
	Dark   bool    // some of them are where something could not be observed
	Open   string  // what of the hour is not known; empty: all is
	Slices []slice // the same as a table, the oldest first
}

// A panel is a box that is chartWidth wide, a unit for each second, and chartHeight
// high.
type panel struct {
	Name  string
	Lines []line
	Ticks []rung
	Label string // what it says, in words
}

// A line is what a panel shows of one measure.
type line struct {
	Class string // for the style
	Now   string // its value
	Name  string
	Path  string // empty: there is nothing to draw
}

// A band is a part of the width.
type band struct {
	Class    string // "dark": not seeing, "open": not known
	X, Width int
}

// A rung is a value that is marked at the side of a panel.
type rung struct {
	Y    int
	Text string
}

const (
	chartWidth  = 3600
	chartHeight = 100
	headroom    = 1.08 // how far a panel reaches above the greatest value
	lapse       = 3 * sampleEvery
)

// A plot says what a panel shows.
type plot struct {
	name   string
	lines  []plotted
	bound  float64 // is never to be passed, and drawn as a line; 0: there is none
	bounds string  // names it
	steps  []float64
	text   func(float64) string
}

// A plotted is a measure in a plot.
type plotted struct {
	measure
	name  string
	class string // for the style; "area" is filled down to zero
}

var (
	rateSteps = []float64{.1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	ageSteps  = []float64{.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 120 * 3600, 240 * 3600}
)

// seconds is a duration that a measure has.
func seconds(f float64) string { return span(time.Duration(math.Round(f*1000)) * time.Millisecond) }

// plots are the panels of an account.
func plots(s watcher.AccountStatus) []plot {
	delay := func(name string, seen, expected measure) plot {
		return plot{name: name, steps: ageSteps, text: seconds, lines: []plotted{
			{seen, "seen", "seen"}, {expected, "expected", "expected"},
		}}
	}
	return []plot{
		{"Polls a second", []plotted{{made, "made", "area"}, {granted, "granted", "granted"}}, s.Limit, "allowed", rateSteps, decimal},
		{"Oldest observation", []plotted{{oldest, "old", "area"}}, s.MaxLap.Seconds(), "promised", ageSteps, seconds},
		delay("Delay of starts", startsSeen, startsExpected),
		delay("Delay of stops", stopsSeen, stopsExpected),
	}
}

// draw makes the picture of an account's samples, the oldest first, and of how it
// is now.
func draw(s watcher.AccountStatus, past []sample, now time.Time) chart {
	all, known := past, s.Unheard.IsZero()
	if known {
		all = append(all, sampleOf(s, now))
	}
	var c chart
	c.Bands, c.Open = bands(all, now, known)
	c.Dark = slices.ContainsFunc(c.Bands, func(b band) bool { return b.Class == "dark" })
	for _, p := range plots(s) {
		c.Panels = append(c.Panels, p.draw(all, now, known))
	}
	c.Slices = slicesOf(all, now)
	return c
}

// across is where a time lies in the width.
func across(at, now time.Time) int {
	return min(max(0, chartWidth-int(now.Sub(at).Seconds())), chartWidth)
}

// bands returns where not all could be observed and where nothing is known, and the
// latter in words.
func bands(all []sample, now time.Time, known bool) (list []band, open string) {
	if len(all) == 0 {
		return []band{{"open", 0, chartWidth}}, "yet"
	}
	mark := func(class string, from, to int) {
		if n := len(list); n > 0 && list[n-1].Class == class && list[n-1].X+list[n-1].Width == from { // it goes on
			list[n-1].Width += to - from
		} else if to > from {
			list = append(list, band{class, from, to - from})
		}
	}
	var words []string
	if first := all[0].at; now.Sub(first) < time.Hour-lapse {
		mark("open", 0, across(first, now))
		words = append(words, "before "+clockAt(first, now))
	}
	holes := false
	for i, s := range all[1:] {
		last := all[i]
		from, to := across(last.at, now), across(s.at, now)
		switch {
		case s.at.Sub(last.at) > lapse:
			mark("open", from, to)
			holes = true
		case last.dark:
			mark("dark", from, to)
		}
	}
	if holes {
		words = append(words, "at times")
	}
	if last := all[len(all)-1].at; !known {
		mark("open", across(last, now), chartWidth)
		words = append(words, "since "+clockAt(last, now))
	}
	return list, strings.Join(words, ", ")
}

// draw makes the panel of some samples, of which the last one is of now where
// something is known of it.
func (p plot) draw(all []sample, now time.Time, known bool) panel {
	out := panel{Name: p.name}
	top := p.bound
	var ranges []string
	for _, l := range p.lines {
		text := "?"
		if known {
			text = "none"
			if f, ok := all[len(all)-1].figure(l.measure); ok {
				text = p.text(f)
			}
		}
		out.Lines = append(out.Lines, line{Class: l.class, Name: l.name, Now: text})
		if least, most, ok := reach(all, l.measure); ok {
			top = max(top, most)
			ranges = append(ranges, fmt.Sprintf("%s %s to %s", l.name, p.text(least), p.text(most)))
		}
	}
	if top == 0 {
		top = 1
	}
	top *= headroom
	y := func(value float64) int { return int(math.Round(chartHeight * (1 - value/top))) }
	for i, l := range p.lines {
		out.Lines[i].Path = lead(all, now, l, y)
	}
	if p.bound > 0 {
		out.Lines = append(out.Lines, line{"limit", p.text(p.bound), p.bounds, fmt.Sprintf("M0 %dh%d", y(p.bound), chartWidth)})
	}
	for _, step := range p.steps {
		if top/step >= 3 {
			continue
		}
		for value := step; value < top; value += step {
			out.Ticks = append(out.Ticks, rung{y(value), p.text(value)})
		}
		break
	}
	words := make([]string, len(out.Lines))
	for i, l := range out.Lines {
		words[i] = l.Name + " " + l.Now
	}
	out.Label = fmt.Sprintf("%s: %s.", p.name, strings.Join(words, ", "))
	if len(ranges) > 0 {
		out.Label += fmt.Sprintf(" In the last hour: %s.", strings.Join(ranges, ", "))
	}
	return out
}

// reach returns the least and the greatest figure of a measure, and false where
// there is none.
func reach(all []sample, m measure) (least, most float64, ok bool) {
	for _, s := range all {
		switch f, is := s.figure(m); {
		case !is:
		case !ok:
			least, most, ok = f, f, true
		default:
			least, most = min(least, f), max(most, f)
		}
	}
	return least, most, ok
}

// lead is the way of a measure, interrupted where there is no figure of it or
// nothing was known for a while.
func lead(all []sample, now time.Time, l plotted, y func(float64) int) string {
	var b strings.Builder
	var run []point
	end := func() {
		if len(run) > 0 {
			trace(&b, run, l.class == "area")
			run = run[:0]
		}
	}
	for i, s := range all {
		f, ok := s.figure(l.measure)
		if !ok || i > 0 && s.at.Sub(all[i-1].at) > lapse {
			end()
		}
		if ok {
			run = append(run, point{across(s.at, now), y(f)})
		}
	}
	end()
	return b.String()
}

// A point is a place in a panel.
type point struct{ x, y int }

// trace writes the line through some points, as short as can be, since a page has
// many. A filled one goes around outside of the panel, where nobody sees its edge.
func trace(b *strings.Builder, run []point, filled bool) {
	const below, beyond = chartHeight + 10, 50
	at := run[0]
	if filled && at.x <= int(sampleEvery/time.Second) {
		fmt.Fprintf(b, "M%d %dV%dH%d", -beyond, below, at.y, at.x)
	} else if filled {
		fmt.Fprintf(b, "M%d %dV%d", at.x, below, at.y)
	} else {
		fmt.Fprintf(b, "M%d %d", at.x, at.y)
	}
	if len(run) == 1 { // a line without a length cannot be seen
		b.WriteString("h4")
	}
	for i, p := range run[1:] {
		if next := i + 2; next < len(run) && p.y == at.y && run[next].y == at.y {
			continue // on a level line
		}
		if p.y == at.y {
			fmt.Fprintf(b, "h%d", p.x-at.x)
		} else {
			fmt.Fprintf(b, "l%d %d", p.x-at.x, p.y-at.y)
		}
		at = p
	}
	if filled && at.x == chartWidth {
		fmt.Fprintf(b, "h%d", beyond)
	}
	if filled {
		fmt.Fprintf(b, "V%dZ", below)
	}
}
