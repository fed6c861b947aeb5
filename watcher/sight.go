package watcher

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// A sight is what is known of whether an account, or one of its applications,
// can be observed. It becomes dark with the first poll that tells nothing after
// one that did, and bright with the first that tells something again. One that
// is dark for long enough is told as blind, and later as sighted: one event each,
// however many tasks it concerns. What was told as blind stays so, in secret, when
// its last live task goes, since it was not seen again: when there is another task,
// the same blindness goes on or ends.
type sight struct {
	dark  time.Time   // since when; zero: bright
	cause *CloudError // of the newest poll that told nothing
	told  bool        // watcher.blind was, and watcher.sighted not yet
	tasks int         // as many as were told of
}

// darken notes a poll that told nothing.
func (s *sight) darken(now time.Time, cause *CloudError) {
	if s.dark.IsZero() {
		s.dark = now
	}
	s.cause = cause
}

// wholeAccount stands for the account itself among its applications.
const wholeAccount int64 = 0

// sightOf returns the sight of an application, or of the whole account. a.mu is held.
func (a *account) sightOf(app int64) *sight {
	s := a.sights[app]
	if s == nil {
		s = new(sight)
		a.sights[app] = s
	}
	return s
}

// darken notes that a poll of a task of app told nothing: because of the
// application, or because of the whole account. a.mu is held.
func (a *account) darken(now time.Time, app int64, cause *CloudError) {
	if cause.Kind == DeniedApplication {
		a.sightOf(app).darken(now, cause)
		return
	}
	a.sightOf(wholeAccount).darken(now, cause)
	a.sightOf(app).darken(now, cause) // the others may do better
}

// brighten notes that a poll of a task of app told something. a.mu is held.
func (a *account) brighten(now time.Time, app int64) {
	whole := a.sightOf(wholeAccount)
	if !whole.dark.IsZero() {
		// While all was dark nothing was learnt of the other applications: theirs
		// begins to count now. It goes on where it is older, unless all was dark for
		// long: one that fails alone darkens the account again and again, until
		// another answers.
		for other, s := range a.sights {
			if other != app && other != wholeAccount && !s.told && !s.dark.IsZero() && (whole.told || !s.dark.Before(whole.dark)) {
				s.dark = now
			}
		}
	}
	a.see(wholeAccount, whole)
	a.see(app, a.sightOf(app))
}

// see makes a sight bright, and tells it where its darkness was told.
func (a *account) see(app int64, s *sight) {
	if s.told {
		a.announce(WatcherSighted, app, s, nil)
	}
	*s = sight{}
}

// tellBlind tells what has been dark for long enough. Where the whole account is
// dark its applications are not told one by one. a.mu is held.
func (a *account) tellBlind(now time.Time) {
	long := func(s *sight) bool {
		return s != nil && !s.dark.IsZero() && now.Sub(s.dark) >= a.plan.BlindAfter
	}
	var live map[int64]int
	whole := a.sights[wholeAccount]
	for app, s := range a.sights {
		if !s.told && long(s) && live == nil { // rarely, so only then are they counted
			live = a.live()
		}
		switch {
		case s.told || !long(s):
		case live[app] == 0: // nobody asks
			*s = sight{}
		case app == wholeAccount || whole == nil || whole.dark.IsZero():
			s.told, s.tasks = true, live[app]
			a.announce(WatcherBlind, app, s, s.cause)
		}
	}
}

// live counts the live tasks of each application and, under wholeAccount, all.
// a.mu is held.
func (a *account) live() map[int64]int {
	n := map[int64]int{wholeAccount: len(a.tasks)}
	for _, e := range a.tasks {
		n[e.key.SDKAppID]++
	}
	return n
}

// sightData is the data of watcher.blind and watcher.sighted.
type sightData struct {
	Account  string    `json:"account"`
	SDKAppID *int64    `json:"sdk_app_id"` // null: the whole account
	Error    *APIError `json:"error"`      // why; null once sighted
	Since    Timestamp `json:"since"`      // when the blindness began
	Tasks    int       `json:"tasks"`      // how many it concerns
}

// announce has the change of a sight told. It is called with a.mu held, so the
// writing is left to [account.announcements], in the order of the calls.
func (a *account) announce(kind EventType, app int64, s *sight, cause *CloudError) {
	now := time.Now()
	data := sightData{Account: a.Name, Since: Timestamp{s.dark}, Tasks: s.tasks}
	subject := a.Name
	if app != wholeAccount {
		data.SDKAppID = &app
		subject += "/" + strconv.FormatInt(app, 10)
	}
	log := a.log.With(zap.String("subject", subject), zap.Time("since", s.dark), zap.Int("tasks", s.tasks))
	if cause != nil {
		data.Error = cause.api()
		log.Error("blind: nothing can be observed", zap.Error(cause))
	} else {
		log.Info("sighted again")
	}
	e := Event{ID: sightID(kind, a.plan.Instance, subject, s.dark), Type: kind, Account: a.Name, ObservedAt: now}
	e.Body = NewEnvelope(a.plan.Instance, e.ID, kind, subject, now, data).Encode()
	e.Notifiers = a.watcher.plan().Route(&e)
	a.unsaid = append(a.unsaid, e)
	select {
	case a.say <- struct{}{}:
	default:
	}
}

// sightID derives the id of such an event from what it tells.
func sightID(kind EventType, instance, subject string, since time.Time) string {
	return FactID(fmt.Sprintf("%s|%s|%s|%d", kind, instance, subject, since.UnixMicro()))
}

// announcements writes what is to be announced, in order, for as long as the
// store fails, until ctx ends.
func (a *account) announcements(ctx context.Context) {
	for attempt := 0; ; {
		a.mu.Lock()
		var next *Event
		if len(a.unsaid) > 0 {
			next = &a.unsaid[0]
		}
		a.mu.Unlock()
		if next == nil {
			select {
			case <-ctx.Done():
				return
			case <-a.say:
			}
			continue
		}
		save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		err := a.store.Announce(save, *next)
		cancel()
		if err == nil {
			attempt = 0
			a.watcher.metrics.events.WithLabelValues(string(next.Type)).Inc()
			a.mu.Lock()
			a.unsaid = a.unsaid[1:]
			a.mu.Unlock()
			continue
		}
		if ctx.Err() == nil {
			a.log.Error("save event", zap.String("event", next.ID), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter(attempt)):
			attempt++
		}
	}
}

// retryAfter is how long to wait before the store is tried again.
func retryAfter(attempt int) time.Duration {
	return min(10*time.Second, 100*time.Millisecond<<min(attempt, 10))
}

// A Blindness is a watcher.blind that no watcher.sighted has followed, as the
// store remembers it.
type Blindness struct {
	SDKAppID int64 // 0: the whole account
	Since    time.Time
	Tasks    int
}

// remember takes up what was told as blind before this process began, so that it
// is told as sighted and not as blind again.
func (a *account) remember(all []Blindness, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range all {
		a.sights[b.SDKAppID] = &sight{dark: anchored(b.Since, now), told: true, tasks: b.Tasks}
	}
}
