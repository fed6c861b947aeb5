package tiwsim

import (
	"sort"
	"time"
)

// DefaultLimit is the number of requests per second that the API page of
// DescribeWhiteboardPush allows an account.
const DefaultLimit = 20

// maxWindow bounds the memory of a window. A flood above it is counted as it.
const maxWindow = 1 << 16

// window holds the arrivals of the last second, oldest first.
type window struct {
	at []time.Time
}

// count is the number of arrivals in the second that ends at now. An arrival
// exactly one second ago is no longer in it.
func (w *window) count(now time.Time) int {
	begin := sort.Search(len(w.at), func(i int) bool { return now.Sub(w.at[i]) < time.Second })
	w.at = w.at[begin:]
	return len(w.at)
}

// add enters an arrival, which must not be earlier than the one before.
func (w *window) add(now time.Time) {
	if len(w.at) == maxWindow {
		w.at = w.at[1:]
	}
	w.at = append(w.at, now)
}
