package page

import (
	"cmp"
	"slices"
	"time"

	"pushwatch/watcher"
)

// A sight says how well pushwatch sees; a higher one is worse.
type sight int

const (
	fully  sight = iota
	slowed       // later than promised, or others use the quota
	partly       // some of it is blind
	blind        // all of it is
)

// A seeing is the truth about what can be seen: of an account, or of all.
type seeing struct {
	Sight    sight
	Idle     bool // no account is watched from here
	Accounts int
	Live     int           // tasks
	Stalest  time.Duration // age of the oldest observation of a live task
	Since    time.Time     // of the oldest blindness, where there is one
	LastSeen time.Time     // the newest observation of what is blind now; zero: none is known
	Reasons  []reason      // the worst first
	More     int           // are left out
}

// mostReasons is how many reasons people can take in at once.
const mostReasons = 6

// A reason is why something is not seen as it should be.
type reason struct {
	Sight    sight
	Account  string
	SDKAppID int64 // 0: the whole account
	What     string
	Since    time.Time // zero: not known
	LastSeen time.Time // zero: not known, or not of interest
	Cause    *watcher.APIError
	Tasks    int // how many live ones it concerns
	Do       string
}

// Word is the seeing in a word or two.
func (s seeing) Word() string {
	if s.Idle {
		return "Watching nothing"
	}
	return [...]string{"Seeing", "Slowed", "Partly blind", "Blind"}[s.Sight]
}

// Class names the seeing for the style.
func (s seeing) Class() string {
	if s.Idle {
		return "idle"
	}
	return s.Sight.Class()
}

// Class names the sight for the style.
func (s sight) Class() string { return [...]string{"clear", "slowed", "partly", "blind"}[s] }

// look says what is seen of all accounts. All is blind where every account is.
func look(accounts []watcher.AccountStatus) seeing {
	all := seeing{Accounts: len(accounts), Idle: len(accounts) == 0, Sight: blind}
	for _, a := range accounts {
		one := lookAt(a)
		all.Reasons = append(all.Reasons, one.Reasons...)
		all.Live += one.Live
		all.Stalest = max(all.Stalest, one.Stalest)
		if one.Sight < blind {
			all.Sight = min(all.Sight, one.Sight)
		}
	}
	if all.Sight < blind { // not every account is
		for _, r := range all.Reasons {
			all.Sight = max(all.Sight, min(r.Sight, partly))
		}
	}
	if all.Idle {
		all.Sight = fully
	}
	all.gather()
	if more := len(all.Reasons) - mostReasons; more > 0 {
		all.Reasons, all.More = all.Reasons[:mostReasons], more
	}
	return all
}

// lookAt says what is seen of one account.
func lookAt(a watcher.AccountStatus) seeing {
	s := seeing{Accounts: 1, Stalest: a.Stalest}
	for _, n := range a.Tasks {
		s.Live += n
	}
	because := func(r reason) {
		r.Account = a.Name
		s.Reasons = append(s.Reasons, r)
		s.Sight = max(s.Sight, r.Sight)
	}
	if !a.Unheard.IsZero() {
		because(reason{Sight: blind, What: "Nobody watches it: process " + a.Member + ", which did, is not heard of any more.", Since: a.Unheard, LastSeen: a.LastSeen, Tasks: s.Live,
			Do: "Another process takes it over within seconds, where one lives whose settings name it."})
		s.gather()
		return s // the rest is of then
	}
	if !a.StoreFailed.IsZero() {
		because(reason{Sight: blind, What: "The database fails: what is seen cannot be kept or told.", Since: a.StoreFailed,
			Tasks: s.Live, Do: "Look at the database and its disk. Polling goes on as far as it can, and nothing that is saved is lost."})
	}
	for _, d := range a.Dark {
		if whole := a.Dark[0]; d.SDKAppID != 0 && whole.SDKAppID == 0 && (whole.Told || !d.Told) {
			continue // the whole account says it already
		}
		r := reason{SDKAppID: d.SDKAppID, Since: d.Since, LastSeen: d.LastSeen, Cause: d.Cause, Tasks: d.Tasks}
		switch {
		case !d.Told:
			r.Sight, r.What = slowed, "The newest polls told nothing."
			r.Do = "It may pass: it is told as blind when it lasts for watch.blind_after."
		case d.SDKAppID != 0:
			r.Sight, r.What = partly, "Nothing can be observed."
			r.Do = "Look whether the application is still this account's and may call DescribeWhiteboardPush."
		default:
			r.Sight, r.What = blind, "Nothing can be observed."
			r.Do = "Look at the credentials, the network and TIW's own status. It is tried again at least every 15 s."
		}
		because(r)
	}
	if a.Granted < 0.95*a.Limit {
		because(reason{Sight: slowed, What: "TIW refuses requests beyond " + decimal(a.Granted) + " a second of the " + decimal(a.Limit) + " allowed: others use this account's quota.",
			Do: "Find who else calls TIW with this account, or lower requests_per_second so that the shares are certain."})
	}
	if a.Overloaded {
		because(reason{Sight: slowed, What: "A round through all live pushes takes " + span(a.Lap) + ", more than the " + span(a.MaxLap) + " of watch.max_staleness.", Tasks: s.Live,
			Do: "Ask Tencent for a higher limit, or spread the applications over more accounts."})
	}
	s.gather()
	return s
}

// gather puts the worst reasons first and takes the times from the blind ones.
func (s *seeing) gather() {
	slices.SortStableFunc(s.Reasons, func(a, b reason) int { return cmp.Compare(b.Sight, a.Sight) })
	for _, r := range s.Reasons {
		if r.Sight < partly {
			continue
		}
		if s.Since.IsZero() || r.Since.Before(s.Since) {
			s.Since = r.Since
		}
		if r.LastSeen.After(s.LastSeen) {
			s.LastSeen = r.LastSeen
		}
	}
}
