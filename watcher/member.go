package watcher

import "time"

// A Member is a process among those that share a database, and the accounts.
type Member struct {
	Name     string
	Since    time.Time       // when it joined
	BeatAt   time.Time       // when it last showed that it lives
	Live     bool            // recently enough for it to keep its accounts
	Accounts []string        // that it owns, by name
	Status   []AccountStatus // of them, as some seconds ago
}

// A Note tells the owner of an account what another process did about a task of it.
type Note struct {
	Key    Key
	Task   *Task // as it is saved now; nil: it is not watched, or not in this account
	Urgent bool  // it is to be polled soon
}
