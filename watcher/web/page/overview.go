package page

import (
	"context"
	"net/http"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// patience is how long the overview waits for the database. It says what is seen
// with or without it.
const patience = 2 * time.Second

// An overview is all that matters at a glance.
type overview struct {
	Seeing    seeing
	Telling   telling
	Accounts  []accountPart
	Notifiers []notify.Status
	Events    []fact
	NoEvents  bool // the database does not say which there are
}

// An accountPart is an account on the overview.
type accountPart struct {
	watcher.AccountStatus
	Seeing seeing
	Chart  chart
}

func (s *site) overview(r *http.Request) (view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	now, status := time.Now(), s.Tasks.Status()
	o := overview{Seeing: look(status, now)}
	for _, a := range status {
		o.Accounts = append(o.Accounts, accountPart{a, lookAt(a, now), draw(a, s.Hour.of(a.Name), now)})
	}
	notifiers, err := s.Notifiers.Notifiers(ctx)
	o.Notifiers, o.Telling = notifiers, tell(notifiers, err)
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Limit: 14})
	o.Events, o.NoEvents = factsOf(events), err != nil
	return view{Name: "overview", Section: "overview", Data: o}, nil
}

// tell sums up what notifiers were told.
func tell(notifiers []notify.Status, err error) telling {
	t := telling{Notifiers: len(notifiers), Unknown: err != nil}
	for _, n := range notifiers {
		t.Pending += n.Pending
		t.Dead += n.Dead
		t.Waiting = max(t.Waiting, n.Waiting)
		if n.State != notify.Active {
			t.Troubled = append(t.Troubled, n.Name)
		}
	}
	return t
}

// Live is how many live tasks have a state.
func (a accountPart) Live(state string) int { return a.Tasks[watcher.State(state)] }
