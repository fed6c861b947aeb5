package page

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	// glance is how long the overview waits for the database. It says what is seen
	// with or without it.
	glance = 2 * time.Second
	// pictured is how many accounts have their own part. Where there are more, the
	// crowded worst of them have, and the others a row.
	pictured = 6
	crowded  = 3
)

// An overview is all that matters at a glance.
type overview struct {
	Seeing    seeing
	Telling   telling
	Accounts  []accountPart // the worst first
	Others    []accountPart // those that are not pictured
	Notifiers []notify.Status
	Events    []fact
	NoEvents  bool // the database does not say which there are
}

// An accountPart is an account on the overview.
type accountPart struct {
	watcher.AccountStatus
	Seeing seeing
	Chart  chart // of one that is pictured
}

// accounts tells how the watching goes.
func (s *site) accounts(ctx context.Context) []watcher.AccountStatus {
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	return s.Accounts(ctx)
}

func (s *site) overview(r *http.Request) (view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), glance)
	defer cancel()
	now, status := time.Now(), s.accounts(ctx)
	o := overview{Seeing: look(status)}
	for _, a := range status {
		o.Others = append(o.Others, accountPart{AccountStatus: a, Seeing: lookAt(a)})
	}
	slices.SortStableFunc(o.Others, func(a, b accountPart) int { return cmp.Compare(b.Seeing.Sight, a.Seeing.Sight) })
	n := len(o.Others)
	if n > pictured {
		n = crowded
	}
	o.Accounts, o.Others = o.Others[:n], o.Others[n:]
	for i, a := range o.Accounts {
		o.Accounts[i].Chart = draw(a.AccountStatus, s.Hour.of(a.Name, now), now)
	}
	notifiers, err := s.Notifiers.Notifiers(ctx)
	o.Notifiers, o.Telling = notifiers, tell(notifiers, err)
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Limit: 14})
	o.Events, o.NoEvents = factsOf(events), err != nil
	return view{Name: "overview", Section: "overview", Data: o}, nil
}

// Live is how many live tasks have a state.
func (a accountPart) Live(state string) int { return a.Tasks[watcher.State(state)] }
