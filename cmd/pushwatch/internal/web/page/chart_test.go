package page

import (
	"math"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

// sampleAgo is a sample of some time ago, without pushes.
func sampleAgo(now time.Time, ago time.Duration, polls float64) sample {
	return sampleOf(watcher.AccountStatus{Used: polls, Granted: 10}, now.Add(-ago))
}

func TestChart(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	s := watcher.AccountStatus{Name: "school", Limit: 10, Granted: 5, Used: 5, MaxStaleness: time.Minute}
	var past []sample
	for _, ago := range []time.Duration{45, 30, 15} {
		past = append(past, sampleAgo(now, ago*time.Second, 10))
	}
	c := newChart(english, s, past, now)
	if len(c.Panels) != 4 {
		t.Fatalf("panels = %+v, want 4", c.Panels)
	}
	polls := c.Panels[0]
	for i, want := range []line{
		{"area", "5", "made", "M3555 110V7h30l15 47h50V110Z"}, // 10 is at 7, 5 at 54
		{"granted", "5", "granted", "M3555 7h30l15 47"},
		{"limit", "10", "allowed", "M0 7h3600"},
	} {
		if polls.Lines[i] != want {
			t.Errorf("line %d = %+v, want %+v", i, polls.Lines[i], want)
		}
	}
	if want := []tick{{54, "5"}, {7, "10"}}; len(polls.Ticks) != 2 || polls.Ticks[0] != want[0] || polls.Ticks[1] != want[1] {
		t.Errorf("ticks = %v, want %v", polls.Ticks, want)
	}
	for _, p := range c.Panels[1:] { // no push is live: there is nothing to draw, least of all zero
		for _, l := range p.Lines {
			if l.Class != "limit" && (l.Path != "" || l.Now != "none") {
				t.Errorf("%s = %+v, want nothing", p.Name, l)
			}
		}
	}

	// Its process is not heard of since: its last values are not the current ones.
	s.Unheard = now.Add(-10 * time.Second)
	c = newChart(english, s, past, now)
	if got := c.Panels[0].Lines[0]; got.Now != "?" || got.Path != "M3555 110V7h30V110Z" {
		t.Errorf("polls of an account that is not heard of = %+v, want an end where it was", got)
	}
	c = newChart(english, s, nil, now)
	if got := c.Panels[0].Lines[0]; got.Path != "" || c.Unknown != "yet" || len(c.Bands) != 1 || c.Bands[0] != (band{"unknown", 0, chartWidth}) {
		t.Errorf("without a sample: %+v, want nothing but that", c)
	}
}

func TestBands(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	var all []sample
	for ago := time.Hour; ago > 0; ago -= sampleEvery {
		s := sampleAgo(now, ago, 1)
		s.blind = ago <= 10*time.Minute && ago > 5*time.Minute
		all = append(all, s)
	}
	index := func(ago time.Duration) int { return int((time.Hour - ago) / sampleEvery) }
	for _, c := range []struct {
		name  string
		all   []sample
		known bool
		want  []band
		open  string
	}{
		{"all is known", all, true, []band{{"blind", 3000, 300}}, ""},
		{"the process is young", all[index(8*time.Minute):], true, []band{{"unknown", 0, 3120}, {"blind", 3120, 180}}, "before 17:52:00"},
		{"a gap within an outage", append(all[:index(9*time.Minute):index(9*time.Minute)], all[index(7*time.Minute):]...), true,
			[]band{{"blind", 3000, 45}, {"unknown", 3045, 135}, {"blind", 3180, 120}}, "at times"},
		{"one sample late", append(all[:10:10], all[11:]...), true, []band{{"blind", 3000, 300}}, ""},
		{"not heard of", all[:index(20*time.Minute)], false, []band{{"unknown", 2385, 1215}}, "since 17:39:45"},
	} {
		list := c.all
		if c.known {
			list = append(list[:len(list):len(list)], sampleAgo(now, 0, 1))
		}
		got, open := bands(english, list, now, c.known)
		same := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			same = same && got[i] == c.want[i]
		}
		if !same || open != c.open {
			t.Errorf("%s: bands = %v, %q, want %v, %q", c.name, got, open, c.want, c.open)
		}
	}
}

// TestPath holds that a line is interrupted where there is no value and where samples
// are missing.
func TestPath(t *testing.T) {
	now := time.Now()
	at := func(ago int, f float64) sample {
		s := sample{at: now.Add(-time.Duration(ago) * time.Second)}
		s.values[stopsSeen] = float32(f)
		return s
	}
	all := []sample{at(600, 10), at(585, 12), at(570, math.NaN()), at(555, 20), at(300, 20), at(285, 20), at(270, 20), at(255, 25)}
	y := func(f float64) int { return int(f) }
	if got, want := (series{measure: stopsSeen}).path(all, now, y), "M3000 10l15 2M3045 20h4M3300 20h30l15 5"; got != want {
		t.Errorf("path = %s, want %s", got, want)
	}
	if got, want := (series{measure: stopsSeen, class: "area"}).path(all[4:], now, y), "M3300 110V20h30l15 5V110Z"; got != want {
		t.Errorf("path of a filled line = %s, want %s", got, want)
	}
}

// TestTicks holds that a panel has one to three ticks at its side for every range.
func TestTicks(t *testing.T) {
	now := time.Now()
	for age := 500 * time.Millisecond; age < 10*24*time.Hour; age += age / 7 {
		s := watcher.AccountStatus{Limit: 20, Granted: 20, MaxStaleness: age}
		p := newChart(english, s, nil, now).Panels[1]
		if n := len(p.Ticks); n < 1 || n > 3 {
			t.Errorf("ticks up to %v = %v", age, p.Ticks)
		}
		for _, tick := range p.Ticks {
			if tick.Y < 0 || tick.Y > chartHeight || strings.Count(tick.Text, " ") > 1 {
				t.Errorf("ticks up to %v = %v, want round ones within the panel", age, p.Ticks)
			}
		}
	}
}
