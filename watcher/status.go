package watcher

import "time"

// AccountStatus is how the polling of one account goes. Replicas share it as JSON through
// the database: a tag keeps the name that other versions write.
type AccountStatus struct {
	Name              string
	Member            string        // the process that owns the account; empty where no other process can
	Unheard           time.Time     // last heartbeat of that process, by the database's clock, once it is late: the status is as old; zero: it is current
	Limit             float64       // configured requests per second
	Granted           float64       // requests per second granted now: less while others use the quota
	Used              float64       // requests per second sent over the last minute
	Tasks             map[State]int // live tasks by state
	Staleness         time.Duration `json:"Stalest"`  // age of the oldest observation of a live task
	PromisedStaleness time.Duration `json:"Patience"` // the most that it grows to while the account can be observed
	LastObserved      time.Time     `json:"LastSeen"` // newest observation of a live task; zero: none yet
	Unobserved        int           // live tasks that were never observed
	BlindPushes       int           // live tasks that are blind by themselves
	Round             time.Duration `json:"Lap"`    // time to poll every live task once
	MaxStaleness      time.Duration `json:"MaxLap"` // watch.max_staleness
	Overloaded        bool          // Round exceeds MaxStaleness, and a warning was logged
	Starts            Lateness      // of the starts of pushes
	Stops             Lateness      // of their ends
	Outages           []Outage      `json:"Dark"` // what cannot be observed now
	StoreFailed       time.Time     // since when the store cannot be written, or read to write to it; zero: it can
}

// An Outage is an account or application whose latest polls observed nothing. One
// without live tasks has none, since it is not polled.
type Outage struct {
	SDKAppID     int64 // 0: the whole account
	Since        time.Time
	LastObserved time.Time `json:"LastSeen"` // newest observation of a live task of it; zero: none yet
	Cause        *APIError
	Reported     bool `json:"Told"` // by watcher.blind
	Tasks        int
}

// A Lateness is how long after it happened a kind of change is seen, on average over about
// the last half hour. If Expected is too much, only a higher limit or fewer pushes help;
// if Seen is far above Expected, pushes change at other times than the schedule has
// learned.
type Lateness struct {
	Expected time.Duration // by the learned hazards and the pace of the polls; 0: none was due
	Seen     time.Duration // by TIW's times, which are whole seconds; 0: none was seen
}

// A Member is one of the processes that share a database and its accounts.
type Member struct {
	Name     string
	Since    time.Time       // when it joined
	BeatAt   time.Time       // last heartbeat
	Live     bool            // its heartbeat is recent enough to keep its accounts
	Accounts []string        // owned accounts, by name
	Status   []AccountStatus // of these accounts, some seconds old
}

// A Note reports a change of a task to the owner of its account. Another process made it.
type Note struct {
	Key    Key
	Task   *Task // as saved now; nil: removed, or moved to another account
	Urgent bool  // poll it soon
}
