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
