package watcher

import (
	"errors"
	"time"
)

// A Position says how far the saved events have been read: for each account,
// named by its shard, the number of the last one. Numbers are given in the order
// of commits within an account, so that nothing is ever saved at or below a
// position. The zero Position is before all events.
type Position map[int64]int64

// ErrPosition means that the position lies past what the store holds, so it is of another
// store, or of one that has lost its last events since.
var ErrPosition = errors.New("no position in these events")

// An EventQuery selects saved events. Zero fields select all.
type EventQuery struct {
	After   Position    // only events past it
	Types   []EventType // one of them must match
	Subject string      // must match exactly
	Limit   int         // at most this many; 0: 100
	Newest  bool        // the newest of them, instead of the oldest
}

// A SavedEvent is an event as it was saved.
type SavedEvent struct {
	Shard  int64 // names its account
	Number int64 // its number within the shard
	Type   EventType
	Body   []byte // the event as JSON, byte for byte as it is told
}

// An EventPage is what a query selects.
type EventPage struct {
	// Events are ordered by number within an account, and, as far as that allows,
	// by the time they were observed at.
	Events []SavedEvent
	// Next is where the page after this one begins. It passes by what the query
	// leaves out; where that asked for the newest, it lies past all that are saved.
	Next Position
}

// A RecentQuery selects saved events from the newest one back. Zero fields select
// all. It is for people to look at: who must miss nothing reads with an
// [EventQuery].
type RecentQuery struct {
	Types  []EventType // one of them must match
	Keys   []Key       // of one of these tasks
	Since  time.Time   // observed then or later; zero: ever
	Before EventMark   // only what comes before it; zero: from the newest
	Limit  int         // at most this many; 0: 100
}

// An EventMark is the place of an event in the order of their times.
type EventMark struct {
	At            time.Time
	Shard, Number int64 // which comes first of those at one time
}

// A RecentEvent is a saved event with the time at which it was observed.
type RecentEvent struct {
	SavedEvent
	At time.Time
}

// Mark is the event's place.
func (e RecentEvent) Mark() EventMark { return EventMark{e.At, e.Shard, e.Number} }
