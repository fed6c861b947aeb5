package page

import (
	"fmt"
	"html/template"
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
	Bands       []band // of a sparkline; the panels of a chart share theirs
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
	name      message
	series    []series
	limit     float64 // drawn as a line; 0: there is none
	limitName message
	steps     []float64 // possible distances between ticks
	format    func(float64) string
}

// A series is a measure in a panel.
type series struct {
	measure
	name  message
	class string // CSS class; "area" is filled down to zero
}

var (
	rateSteps = []float64{.1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	ageSteps  = []float64{.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 24 * 3600, 48 * 3600, 120 * 3600, 240 * 3600}
)

// seconds formats a measure's value that is a duration.
func (l *locale) seconds(f float64) string {
	return l.span(time.Duration(math.Round(f*1000)) * time.Millisecond)
}

// panelSpecs are the panels of an account.
func panelSpecs(l *locale, s watcher.AccountStatus) []panelSpec {
	delay := func(id string, seen, expected measure) panelSpec {
		return panelSpec{name: say(id), steps: ageSteps, format: l.seconds, series: []series{
			{seen, say("chart.seen"), "seen"}, {expected, say("chart.expected"), "expected"},
		}}
	}
	return []panelSpec{
		{say("chart.polls"), []series{{made, say("chart.made"), "area"}, {granted, say("chart.granted"), "granted"}}, s.Limit, say("chart.allowed"), rateSteps, decimal},
		{say("chart.oldest"), []series{{oldest, say("chart.old"), "area"}}, s.MaxStaleness.Seconds(), say("chart.promised"), ageSteps, l.seconds},
		delay("chart.starts", startsSeen, startsExpected),
		delay("chart.stops", stopsSeen, stopsExpected),
	}
}

// oldestPanel is the index of the panel that the sparkline shows.
const oldestPanel = 1

// withCurrent adds the current status to an account's samples, unless it is not known.
func withCurrent(s watcher.AccountStatus, past []sample, now time.Time) (all []sample, known bool) {
	if known = s.Unheard.IsZero(); known {
		past = append(past, sampleOf(s, now))
	}
	return past, known
}

// newChart draws an account's samples, the oldest first, and its current status.
func newChart(l *locale, s watcher.AccountStatus, past []sample, now time.Time) chart {
	all, known := withCurrent(s, past, now)
	var c chart
	c.Bands, c.Unknown = bands(l, all, now, known)
	c.Blind = slices.ContainsFunc(c.Bands, func(b band) bool { return b.Class == "blind" })
	for _, p := range panelSpecs(l, s) {
		c.Panels = append(c.Panels, p.draw(l, all, now, known))
	}
	c.Intervals = intervalsOf(l, all, now)
	return c
}

// newSparkline draws the age of an account's oldest observation over the last hour.
func newSparkline(l *locale, s watcher.AccountStatus, past []sample, now time.Time) panel {
	all, known := withCurrent(s, past, now)
	p := panelSpecs(l, s)[oldestPanel].draw(l, all, now, known)
	p.Bands, _ = bands(l, all, now, known)
	return p
}

// xAt is where a time lies on the time axis.
func xAt(at, now time.Time) int {
	return min(max(0, chartWidth-int(now.Sub(at).Seconds())), chartWidth)
}

// bands returns where not all was visible and where nothing is known, and the latter in
// words.
func bands(l *locale, all []sample, now time.Time, known bool) (list []band, unknown string) {
	if len(all) == 0 {
		return []band{{"unknown", 0, chartWidth}}, l.plain("chart.unknown_yet")
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
		words = append(words, l.plain("chart.unknown_before", "Time", l.clockAt(first, now, "")))
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
		words = append(words, l.plain("chart.unknown_gaps"))
	}
	if last := all[len(all)-1].at; !known {
		add("unknown", xAt(last, now), chartWidth)
		words = append(words, l.plain("chart.unknown_since", "Time", l.clockAt(last, now, "")))
	}
	return list, strings.Join(words, l.plain("list.comma"))
}

// draw draws a panel. Where known, the last sample is the current status.
func (p panelSpec) draw(l *locale, all []sample, now time.Time, known bool) panel {
	out := panel{Name: l.plain(p.name)}
	top := p.limit
	var ranges []string
	for _, s := range p.series {
		current := "?"
		if known {
			current = l.plain("chart.none")
			if f, ok := all[len(all)-1].value(s.measure); ok {
				current = p.format(f)
			}
		}
		out.Lines = append(out.Lines, line{Class: s.class, Name: l.plain(s.name), Now: current})
		if least, most, ok := minMax(all, s.measure); ok {
			top = max(top, most)
			ranges = append(ranges, l.plain("chart.range", "Name", s.name, "Least", template.HTML(p.format(least)), "Most", template.HTML(p.format(most))))
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
		out.Lines = append(out.Lines, line{"limit", p.format(p.limit), l.plain(p.limitName), fmt.Sprintf("M0 %dh%d", y(p.limit), chartWidth)})
	}
	out.Ticks = p.ticks(top, y)
	out.Description = l.describe(out, ranges)
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
func (l *locale) describe(p panel, ranges []string) string {
	current := make([]string, len(p.Lines))
	for i, line := range p.Lines {
		current[i] = line.Name + " " + line.Now
	}
	comma := l.plain("list.comma")
	text := l.plain("chart.summary", "Name", p.Name, "Values", template.HTML(strings.Join(current, comma)))
	if len(ranges) > 0 {
		text += l.plain("chart.summary_hour", "Ranges", template.HTML(strings.Join(ranges, comma)))
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
