package page

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A visibility says what can be observed, of one account or of all.
type visibility struct {
	Level        level
	Idle         bool // this process watches no account
	Accounts     int
	Live         int           // tasks
	Staleness    time.Duration // age of the oldest observation of a live task
	Waiting      int           // live tasks that were not observed yet
	Blind        int           // live tasks whose status is not known
	Since        time.Time     // when the oldest outage began; zero: there is none
	LastObserved time.Time     // the newest observation of what is blind now; zero: none is known
	Reasons      []reason      // the worst first
	More         int           // reasons that are left out
}

// maxReasons is how many reasons are listed.
const maxReasons = 6

// A reason explains why something is not visible, or late.
type reason struct {
	Level        level
	Account      string
	SDKAppID     int64     // 0: the whole account
	What         message   // with the time since when
	Since        time.Time // zero: not known
	LastObserved time.Time // zero: not known, or without meaning
	Cause        *watcher.APIError
	Tasks        int     // live ones that it concerns
	Advice       message // what to do
	Link         string  // address of what it concerns; empty: there is none
}

// One reports whether all that is not visible has one reason.
func (v visibility) One() bool {
	n := 0
	for _, r := range v.Reasons {
		if r.Level >= failing {
			n++
		}
	}
	return n == 1
}

// Word is the visibility in a few words.
func (v visibility) Word() message {
	if v.Idle {
		return say("visibility.idle")
	}
	return say("visibility." + v.Level.Class())
}

// Class is the CSS class of the visibility.
func (v visibility) Class() string {
	if v.Idle {
		return "idle"
	}
	return v.Level.Class()
}

// visibilityOf sums up the visibility of all accounts. All is blind where every account
// is.
func visibilityOf(accounts []watcher.AccountStatus) visibility {
	all := visibility{Accounts: len(accounts), Idle: len(accounts) == 0, Level: blind}
	for _, a := range accounts {
		one := accountVisibility(a)
		all.Reasons = append(all.Reasons, one.Reasons...)
		all.Live += one.Live
		all.Staleness = max(all.Staleness, one.Staleness)
		all.Waiting += one.Waiting
		if one.Level < blind {
			all.Level = min(all.Level, one.Level)
		}
	}
	if all.Level < blind { // at least one account is not
		for _, r := range all.Reasons {
			all.Level = max(all.Level, min(r.Level, failing))
		}
	}
	if all.Idle {
		all.Level = ok
	}
	all.summarize()
	if more := len(all.Reasons) - maxReasons; more > 0 {
		all.Reasons, all.More = all.Reasons[:maxReasons], more
	}
	return all
}

// accountVisibility returns the visibility of one account.
func accountVisibility(a watcher.AccountStatus) visibility {
	v := visibility{Accounts: 1, Staleness: a.Staleness, Waiting: a.Unobserved}
	for _, n := range a.Tasks {
		v.Live += n
	}
	for _, r := range reasonsOf(a, v.Live) {
		r.Account = a.Name
		v.Reasons = append(v.Reasons, r)
		v.Level = max(v.Level, r.Level)
	}
	v.summarize()
	return v
}

// reasonsFor are the reasons why one task is not visible, except that it is blind alone.
func reasonsFor(accounts []watcher.AccountStatus, t watcher.Task) (list []reason) {
	for _, a := range accounts {
		if a.Name != t.Account || t.State.Ended() {
			continue
		}
		for _, r := range accountVisibility(a).Reasons {
			if r.Level >= failing && r.Link == "" && (r.SDKAppID == 0 || r.SDKAppID == t.SDKAppID) {
				list = append(list, r)
			}
		}
	}
	return list
}

// reasonsOf says why not all of an account is visible, or why its pushes are observed later
// than promised.
func reasonsOf(a watcher.AccountStatus, live int) (reasons []reason) {
	if !a.Unheard.IsZero() { // the rest of its status is as old
		return []reason{{Level: blind, What: say("reason.unwatched", "Process", a.Member, "Since", since(a.Unheard)), Since: a.Unheard, LastObserved: a.LastObserved, Tasks: live, Advice: say("advice.unwatched")}}
	}
	if !a.StoreFailed.IsZero() {
		reasons = append(reasons, reason{Level: blind, What: say("reason.store", "Since", since(a.StoreFailed)), Since: a.StoreFailed, Tasks: live, Advice: say("advice.store")})
	}
	reasons = append(reasons, outageReasons(a)...)
	if n := a.BlindPushes; n > 0 {
		reasons = append(reasons, reason{Level: failing, What: say("reason.pushes", "N", n), Tasks: n, Advice: say("advice.pushes"), Link: address("/tasks", "account", a.Name, "state", "blind")})
	}
	if a.Granted < 0.95*a.Limit {
		reasons = append(reasons, reason{Level: warning, What: say("reason.quota", "Granted", a.Granted, "Limit", a.Limit), Advice: say("advice.quota")})
	}
	if a.Overloaded {
		reasons = append(reasons, reason{Level: warning, What: say("reason.overload", "Round", a.Round, "Max", a.MaxStaleness), Tasks: live, Advice: say("advice.overload")})
	}
	return reasons
}

// outageReasons says what of an account cannot be observed.
func outageReasons(a watcher.AccountStatus) (reasons []reason) {
	for _, d := range a.Outages {
		if whole := a.Outages[0]; d.SDKAppID != 0 && whole.SDKAppID == 0 && (whole.Reported || !d.Reported) {
			continue // the outage of the whole account covers it
		}
		r := reason{SDKAppID: d.SDKAppID, Since: d.Since, LastObserved: d.LastObserved, Cause: d.Cause, Tasks: d.Tasks, Advice: outageAdvice(d)}
		r.Level, r.What = blind, say("reason.unknown", "Pushes", say("live_pushes", "N", d.Tasks), "Since", since(d.Since))
		switch {
		case !d.Reported:
			r.Level, r.What = warning, say("reason.polls_failed", "Since", since(d.Since))
		case d.SDKAppID != 0:
			r.Level = failing
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// advices are what to do about the errors that polls end with, by the beginning of their
// codes: the first that fits counts.
var advices = []struct{ code, id string }{
	{"AuthFailure.SecretIdNotFound", "advice.secret_id"},
	{"AuthFailure.SignatureFailure", "advice.secret_key"},
	{"AuthFailure.SignatureExpire", "advice.clock"},
	{"AuthFailure.TokenFailure", "advice.session_token"},
	{"AuthFailure.UnauthorizedOperation", "advice.permission"},
	{"AuthFailure", "advice.credentials"},
	{"UnauthorizedOperation.SdkAppId", "advice.application"},
	{"UnauthorizedOperation", "advice.permission"},
	{"credentials", "advice.credentials_file"},
	{"network", "advice.network"},
	{"timeout", "advice.network"},
	{"http ", "advice.network"},
	{"RequestLimitExceeded", "advice.quota"},
	{"InternalError", "advice.service"},
	{"internal", "advice.bug"},
}

// outageAdvice says what to do about an outage.
func outageAdvice(d watcher.Outage) message {
	general := say("advice.account")
	if d.SDKAppID != 0 {
		general = say("advice.application")
	}
	if d.Cause == nil {
		return general
	}
	return adviceFor(d.Cause.Code, general)
}

// adviceFor says what to do about an error code, or else in general.
func adviceFor(code string, general message) message {
	for _, a := range advices {
		if strings.HasPrefix(code, a.code) {
			return say(a.id)
		}
	}
	return general
}

// summarize puts the worst reasons first, and sums up the outages among them.
func (v *visibility) summarize() {
	slices.SortStableFunc(v.Reasons, func(a, b reason) int { return cmp.Compare(b.Level, a.Level) })
	for _, r := range v.Reasons {
		if r.Level < failing {
			continue
		}
		v.Blind = min(v.Blind+r.Tasks, v.Live)
		if v.Since.IsZero() || !r.Since.IsZero() && r.Since.Before(v.Since) {
			v.Since = r.Since
		}
		if r.LastObserved.After(v.LastObserved) {
			v.LastObserved = r.LastObserved
		}
	}
}
