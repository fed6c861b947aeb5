package schedule

import "pushwatch/watcher"

// A peak is the greatest value that a number has had since some time, and since later times: the
// values fall, and the first is the greatest of all.
type peak []noted

// A noted is the greatest value of a number since a time.
type noted struct {
	since watcher.Tick
	value int
}

// note records a value. A value that is less than a sixteenth below the one before it counts as
// that, so that a peak stays small.
func (p *peak) note(at watcher.Tick, value int) {
	h := *p
	for len(h) > 0 && h[len(h)-1].value <= value {
		at = h[len(h)-1].since
		h = h[:len(h)-1]
	}
	if len(h) == 0 || value <= h[len(h)-1].value*15/16 {
		h = append(h, noted{at, value})
	}
	*p = h
}

// forget drops what was before a time.
func (p *peak) forget(before watcher.Tick) {
	for len(*p) > 1 && (*p)[1].since <= before {
		*p = (*p)[1:]
	}
}

// value returns the greatest value; 0: none is noted.
func (p peak) value() int {
	if len(p) == 0 {
		return 0
	}
	return p[0].value
}
