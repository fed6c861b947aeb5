package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A chart shows the last hour of an account: panels under each other on one time axis.
// What is not known is left blank.
type chart struct {
	Panels    []panel
	Bands     []band     // behind the lines of each panel
	Blind     bool       // there is a band of class "blind"
	Unknown   string     // what of the hour is not known; empty: all is
	Intervals []interval // the same as a table, the oldest first
}

// A panel is a box, chartWidth wide (a unit for each second) and chartHeight high.
type panel struct {
	Name        string
	Lines       []line
	Ticks       []tick
	Description string // of what it shows, in words
}

// A line is what a panel shows of one measure.
type line struct {
	Class string // CSS class
	Now   string // its current value
	Name  string
	Path  string // empty: there is nothing to draw
}

// A band marks a part of the time axis.
type band struct {
	Class    string // "blind": not all was visible; "unknown": there are no samples
	X, Width int
}

// A tick is a value that is marked at the side of a panel.
type tick struct {
	Y    int
	Text string
}

const (
	chartWidth  = 3600
	chartHeight = 100
	headroom    = 1.08 // top of a panel, as a multiple of its greatest value
	maxGap      = 3 * sampleEvery
)

// A panelSpec says what a panel shows.
type panelSpec struct {
	name      string
	series    []series
	limit     float64 // drawn as a line; 0: there is none
	limitName string
	steps     []float64 // possible distances between ticks
	format    func(float64) string
}

// A series is a measure in a panel.
type series struct {
	measure
	name  string
	class string // CSS class; "area" is filled down to zero
}

var (
	rateSteps = []float64{.1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	ageSteps  = []float64{.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 120 * 3600, 240 * 3600}
)

// seconds formats a measure's value that is a duration.
func seconds(f float64) string { return span(time.Duration(math.Round(f*1000)) * time.Millisecond) }

// panelSpecs are the panels of an account.
func panelSpecs(s watcher.AccountStatus) []panelSpec {
	delay := func(name string, seen, expected measure) panelSpec {
		return panelSpec{name: name, steps: ageSteps, format: seconds, series: []series{
			{seen, "seen", "seen"}, {expected, "expected", "expected"},
		}}
	}
	return []panelSpec{
		{"Polls a second", []series{{made, "made", "area"}, {granted, "granted", "granted"}}, s.Limit, "allowed", rateSteps, decimal},
		{"Oldest observation", []series{{oldest, "old", "area"}}, s.MaxLap.Seconds(), "promised", ageSteps, seconds},
		delay("Delay of starts", startsSeen, startsExpected),
		delay("Delay of stops", stopsSeen, stopsExpected),
	}
}

// newChart draws an account's samples, the oldest first, and its current status.
func newChart(s watcher.AccountStatus, past []sample, now time.Time) chart {
	all, known := past, s.Unheard.IsZero()
	if known {
		all = append(all, sampleOf(s, now))
	}
	var c chart
	c.Bands, c.Unknown = bands(all, now, known)
	c.Blind = slices.ContainsFunc(c.Bands, func(b band) bool { return b.Class == "blind" })
	for _, p := range panelSpecs(s) {
		c.Panels = append(c.Panels, p.draw(all, now, known))
	}
	c.Intervals = intervalsOf(all, now)
	return c
}

// xAt is where a time lies on the time axis.
func xAt(at, now time.Time) int {
	return min(max(0, chartWidth-int(now.Sub(at).Seconds())), chartWidth)
}

// bands returns where not all was visible and where nothing is known, and the latter in
// words.
func bands(all []sample, now time.Time, known bool) (list []band, unknown string) {
	if len(all) == 0 {
		return []band{{"unknown", 0, chartWidth}}, "yet"
	}
	add := func(class string, from, to int) {
		if n := len(list); n > 0 && list[n-1].Class == class && list[n-1].X+list[n-1].Width == from {
			list[n-1].Width += to - from // it continues the last one
		} else if to > from {
			list = append(list, band{class, from, to - from})
		}
	}
	var words []string
	if first := all[0].at; now.Sub(first) < time.Hour-maxGap {
		add("unknown", 0, xAt(first, now))
		words = append(words, "before "+clockAt(first, now))
	}
	gaps := false
	for i, s := range all[1:] {
		last := all[i]
		from, to := xAt(last.at, now), xAt(s.at, now)
		switch {
		case s.at.Sub(last.at) > maxGap:
			add("unknown", from, to)
			gaps = true
		case last.blind:
			add("blind", from, to)
		}
	}
	if gaps {
		words = append(words, "at times")
	}
	if last := all[len(all)-1].at; !known {
		add("unknown", xAt(last, now), chartWidth)
		words = append(words, "since "+clockAt(last, now))
	}
	return list, strings.Join(words, ", ")
}

// draw draws a panel. Where known, the last sample is the current status.
func (p panelSpec) draw(all []sample, now time.Time, known bool) panel {
	out := panel{Name: p.name}
	top := p.limit
	var ranges []string
	for _, s := range p.series {
		current := "?"
		if known {
			current = "none"
			if f, ok := all[len(all)-1].value(s.measure); ok {
				current = p.format(f)
			}
		}
		out.Lines = append(out.Lines, line{Class: s.class, Name: s.name, Now: current})
		if least, most, ok := minMax(all, s.measure); ok {
			top = max(top, most)
			ranges = append(ranges, fmt.Sprintf("%s %s to %s", s.name, p.format(least), p.format(most)))
		}
	}
	if top == 0 {
		top = 1
	}
	top *= headroom
	y := func(value float64) int { return int(math.Round(chartHeight * (1 - value/top))) }
	for i, s := range p.series {
		out.Lines[i].Path = s.path(all, now, y)
	}
	if p.limit > 0 {
		out.Lines = append(out.Lines, line{"limit", p.format(p.limit), p.limitName, fmt.Sprintf("M0 %dh%d", y(p.limit), chartWidth)})
	}
	out.Ticks = p.ticks(top, y)
	out.Description = describe(out, ranges)
	return out
}

// ticks are one to three round values up to top.
func (p panelSpec) ticks(top float64, y func(float64) int) (ticks []tick) {
	for _, step := range p.steps {
		if top/step < 3 {
			for value := step; value < top; value += step {
				ticks = append(ticks, tick{y(value), p.format(value)})
			}
			break
		}
	}
	return ticks
}

// describe says in words what a panel shows.
func describe(p panel, ranges []string) string {
	current := make([]string, len(p.Lines))
	for i, l := range p.Lines {
		current[i] = l.Name + " " + l.Now
	}
	text := fmt.Sprintf("%s: %s.", p.Name, strings.Join(current, ", "))
	if len(ranges) > 0 {
		text += fmt.Sprintf(" In the last hour: %s.", strings.Join(ranges, ", "))
	}
	return text
}

// minMax returns the least and the greatest value of a measure; false: it has none.
func minMax(all []sample, m measure) (least, most float64, ok bool) {
	for _, s := range all {
		switch f, is := s.value(m); {
		case !is:
		case !ok:
			least, most, ok = f, f, true
		default:
			least, most = min(least, f), max(most, f)
		}
	}
	return least, most, ok
}

// path is the line of a series, interrupted where it has no value or samples are missing.
func (s series) path(all []sample, now time.Time, y func(float64) int) string {
	var b strings.Builder
	var run []point
	end := func() {
		if len(run) > 0 {
			writeRun(&b, run, s.class == "area")
			run = run[:0]
		}
	}
	for i, at := range all {
		f, ok := at.value(s.measure)
		if !ok || i > 0 && at.at.Sub(all[i-1].at) > maxGap {
			end()
		}
		if ok {
			run = append(run, point{xAt(at.at, now), y(f)})
		}
	}
	end()
	return b.String()
}

// A point is a place in a panel.
type point struct{ x, y int }

// writeRun writes the line through some points, as short as possible, since a page has
// many. The edge of a filled one lies outside of the panel, where it is not visible.
func writeRun(b *strings.Builder, run []point, filled bool) {
	const below, beyond = chartHeight + 10, 50
	at := run[0]
	if filled && at.x <= int(sampleEvery/time.Second) {
		fmt.Fprintf(b, "M%d %dV%dH%d", -beyond, below, at.y, at.x)
	} else if filled {
		fmt.Fprintf(b, "M%d %dV%d", at.x, below, at.y)
	} else {
		fmt.Fprintf(b, "M%d %d", at.x, at.y)
	}
	if len(run) == 1 { // a line without length is not visible
		b.WriteString("h4")
	}
	for i, p := range run[1:] {
		if next := i + 2; next < len(run) && p.y == at.y && run[next].y == at.y {
			continue // within a level part
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
