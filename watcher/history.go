package watcher

import (
	"errors"
	"time"
)

// A Position is how far a reader has read the saved events: the number of the last event
// read, by shard. A shard is an account. Numbers rise in the order of commits, so that no
// event is ever saved at or below a position. The zero Position is before all events.
type Position map[int64]int64

// ErrPosition means that a position lies past the saved events: it is from another store, or
// this one has lost its last events.
var ErrPosition = errors.New("no position in these events")

// An EventQuery selects saved events. Zero fields select all.
type EventQuery struct {
	After   Position    // only events past it
	Types   []EventType // one of them must match
	Subject string      // must match exactly
	Limit   int         // at most this many; 0: 100
	Newest  bool        // select the newest instead of the oldest
}

// A SavedEvent is an event as it was saved.
type SavedEvent struct {
	Shard  int64 // names its account
	Number int64 // its number within the shard
	Type   EventType
	Body   []byte // the event as JSON, byte for byte as delivered
}

// An EventPage is what a query selects.
type EventPage struct {
	// Events are ordered by number within an account, and else by time of observation.
	Events []SavedEvent
	// Next is where the next page begins. After a query for the newest it lies past all
	// saved events.
	Next Position
}

// A RecentQuery selects saved events, the newest first, for people to look at. Zero fields
// select all. A reader that must not miss an event uses an [EventQuery].
type RecentQuery struct {
	Types  []EventType // one of them must match
	Keys   []Key       // only events of these tasks
	Since  time.Time   // observed then or later
	Before EventMark   // only events before it; zero: from the newest
	Limit  int         // at most this many; 0: 100
}

// An EventMark is the place of an event in the order of time.
type EventMark struct {
	At            time.Time
	Shard, Number int64 // order those of the same time
}

// A RecentEvent is a saved event with the time of its observation.
type RecentEvent struct {
	SavedEvent
	At time.Time
}

// Mark returns the event's place.
func (e RecentEvent) Mark() EventMark { return EventMark{e.At, e.Shard, e.Number} }
