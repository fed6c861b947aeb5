package page

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// clean replaces each character that is invisible, or changes how others look, by a
// visible one: "␛" for an escape, "⟨U+202E⟩" for a mark that reverses the writing
// direction. The joiners of scripts and emoji stay.
func clean(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c < ' ':
			b.WriteRune('␀' + c)
		case c == 0x7f:
			b.WriteRune('␡')
		case c == '\u200c' || c == '\u200d':
			b.WriteRune(c)
		case unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			fmt.Fprintf(&b, "⟨U+%04X⟩", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// span formats a duration in its two largest units at most:
// "35 ms", "4.2 s", "3 m 12 s", "1 h 4 m", "2 d 3 h".
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	two := func(large time.Duration, a string, small time.Duration, b string) string {
		if rest := d % large / small; rest > 0 {
			return fmt.Sprintf("%d %s %d %s", d/large, a, rest, b)
		}
		return fmt.Sprintf("%d %s", d/large, a)
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strings.TrimSuffix(strconv.FormatFloat(float64(d/(100*time.Millisecond))/10, 'f', 1, 64), ".0") + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(time.Hour, "h", time.Minute, "m")
	}
	return two(24*time.Hour, "d", time.Hour, "h")
}

// ago formats a time relative to now: "now", "12 s ago", "in 3 s".
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case d <= -time.Second:
		return "in " + span((-d).Truncate(time.Second))
	case d < time.Second:
		return "now"
	default:
		return span(d.Truncate(time.Second)) + " ago"
	}
}

// clock formats a time of day in UTC, with the date where it is over 12 hours away.
func clock(t time.Time) string { return clockAt(t, time.Now()) }

// clockAt is clock at another time than now.
func clockAt(t, now time.Time) string {
	if t = t.UTC(); now.Sub(t).Abs() > 12*time.Hour {
		return t.Format("2 Jan 2006 15:04:05")
	}
	return t.Format("15:04:05")
}

// precise is clock with milliseconds.
func precise(t time.Time) string { return clock(t) + t.UTC().Format(".000") }

// iso formats a time for machines and tooltips.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// decimal formats a number, with a decimal below 10.
func decimal(f float64) string {
	if f < 10 {
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// count formats a whole number in groups of three digits.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// plural formats a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// words is a name of the API for people: "not found" for not_found.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }

// percent formats a length in a drawing.
func percent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// fewLabels are the labels that a row of a list shows.
type fewLabels struct {
	Shown []label
	More  int // that are left out
}

type label struct{ Key, Value string }

// some returns the first labels by key.
func some(labels map[string]string) fewLabels {
	const most = 3
	var few fewLabels
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(few.Shown) == most {
			few.More = len(labels) - most
			break
		}
		few.Shown = append(few.Shown, label{key, labels[key]})
	}
	return few
}
