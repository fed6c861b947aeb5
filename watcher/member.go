package watcher

import "time"

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
