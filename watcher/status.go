package watcher

import "time"

// AccountStatus tells how the watching of one account goes.
type AccountStatus struct {
	Name        string
	Member      string        // the process that watches it; empty where there is but this one
	Unheard     time.Time     // since when that process is not heard of, by the database's clock, so all this is as it was then; zero: it is
	Limit       float64       // requests a second that it may make
	Granted     float64       // and is granted now: less while others use the quota
	Used        float64       // requests a second that it made in the last minute
	Tasks       map[State]int // live ones by state
	Stalest     time.Duration // age of the oldest observation of a live task
	Patience    time.Duration // how old that may get, while the account can be observed
	LastSeen    time.Time     // the newest observation of a live task; zero: none yet
	Unobserved  int           // live tasks that were never observed
	BlindPushes int           // live tasks that are blind by themselves
	Lap         time.Duration // time in which every live task could be polled once
	MaxLap      time.Duration // what that must not exceed for watch.max_staleness to be kept
	Overloaded  bool          // Lap is longer than that, and a warning was logged
	Starts      Lateness      // of the starts of pushes
	Stops       Lateness      // of their ends
	Dark        []Darkness    // what cannot be observed now
	StoreFailed time.Time     // since when nothing can be written, or read for it; zero: it can
}

// A Darkness is an account or application of which the newest polls told nothing. It
// is none without a live task, for then nobody asks.
type Darkness struct {
	SDKAppID int64 // 0: the whole account
	Since    time.Time
	LastSeen time.Time // the newest observation of a live task of it; zero: none yet
	Cause    *APIError
	Told     bool // as watcher.blind
	Tasks    int
}

// A Lateness tells how late a kind of change is seen, on average over the last
// half hour or so. Where the expected one is more than you can bear, only a higher
// limit or fewer pushes help; where the seen one is much above the expected, pushes
// change at other times than the schedule has learnt.
type Lateness struct {
	Expected time.Duration // by what was learnt, at the pace of the polls; 0: none was due
	Seen     time.Duration // by the times that TIW tells, which are whole seconds; 0: none came
}
