package tiwsim

import (
	"sort"
	"time"
)

// DefaultLimit is an account's requests per second, from the API page of
// DescribeWhiteboardPush.
const DefaultLimit = 20

// maxWindow bounds a window's memory. More arrivals count as maxWindow.
const maxWindow = 1 << 16

// window holds the arrivals of the last second, oldest first.
type window struct {
	at []time.Time
}

// count returns the number of arrivals in the second before now. One of exactly one second ago
// does not count.
func (w *window) count(now time.Time) int {
	begin := sort.Search(len(w.at), func(i int) bool { return now.Sub(w.at[i]) < time.Second })
	w.at = w.at[begin:]
	return len(w.at)
}

// add adds an arrival, not earlier than the last.
func (w *window) add(now time.Time) {
	if len(w.at) == maxWindow {
		w.at = w.at[1:]
	}
	w.at = append(w.at, now)
}
