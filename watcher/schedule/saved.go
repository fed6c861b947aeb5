package schedule

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// savedHazards is the JSON form of hazards. Its version changes with the bins.
type savedHazards struct {
	Version   int        `json:"version"`
	Preparing savedCurve `json:"preparing"`
	Pushing   savedCurve `json:"pushing"`
	Hinted    savedCurve `json:"hinted"`
}

const savedHazardsVersion = 1

// savedCurve holds a curve's bins from the first to the last that is not empty.
type savedCurve struct {
	First    int       `json:"first"`
	Events   []float64 `json:"events"`
	Exposure []float64 `json:"exposure"`
}

// MarshalJSON writes the hazards with four digits: some kilobytes.
func (h *Hazards) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedHazards{savedHazardsVersion, h.preparing.save(), h.pushing.save(), h.hinted.save()})
}

// UnmarshalJSON reads what MarshalJSON wrote. On an error, for example of another version, h
// does not change.
func (h *Hazards) UnmarshalJSON(text []byte) error {
	var s savedHazards
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read hazards: %w", err)
	}
	if s.Version != savedHazardsVersion {
		return fmt.Errorf("read hazards: version %d, want %d", s.Version, savedHazardsVersion)
	}
	read := NewHazards()
	for _, c := range []struct {
		name string
		to   *curve
		from savedCurve
	}{{"preparing", &read.preparing, s.Preparing}, {"pushing", &read.pushing, s.Pushing}, {"hinted", &read.hinted, s.Hinted}} {
		if err := c.to.restore(c.from); err != nil {
			return fmt.Errorf("read hazards: %s: %w", c.name, err)
		}
	}
	read.fit()
	*h = *read
	return nil
}

func (c *curve) save() savedCurve {
	empty := func(i int) bool { return c.events[i] == 0 && c.exposure[i] == 0 }
	first, end := 0, len(c.events)
	for first < end && empty(first) {
		first++
	}
	for first < end && empty(end-1) {
		end--
	}
	return savedCurve{first, rounded(c.events[first:end]), rounded(c.exposure[first:end])}
}

// rounded returns values to four digits.
func rounded(values []float64) []float64 {
	short := make([]float64, len(values))
	for i, v := range values {
		short[i], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // what was just formatted
	}
	return short
}

// restore replaces what c has learned.
func (c *curve) restore(s savedCurve) error {
	bins := len(c.events)
	if s.First < 0 || s.First > bins || len(s.Events) > bins-s.First || len(s.Events) != len(s.Exposure) {
		return fmt.Errorf("%d and %d values from %d on do not fit %d bins", len(s.Events), len(s.Exposure), s.First, bins)
	}
	const most = 1e12 // far beyond what a lifetime of polls gathers
	for _, values := range [][]float64{s.Events, s.Exposure} {
		for _, v := range values {
			if v < 0 || v > most {
				return fmt.Errorf("value %g: want 0 to %g", v, most)
			}
		}
	}
	clear(c.events)
	clear(c.exposure)
	clear(c.recent)
	copy(c.events[s.First:], s.Events)
	copy(c.exposure[s.First:], s.Exposure)
	c.fresh = 0
	return nil
}
