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
	// overviewTimeout is how long the overview waits for the database. It shows what
	// is visible with or without it.
	overviewTimeout = 2 * time.Second
	// maxCards is how many accounts have a card. Of more accounts the worst
	// cardsOfMany have one, and the others a row.
	maxCards    = 6
	cardsOfMany = 3
	// overviewEvents is how many events the overview lists.
	overviewEvents = 14
)

// An overview shows at a glance how watching and delivery go.
type overview struct {
	Visibility visibility
	Delivery   deliveryStatus
	Accounts   []accountCard // the worst first
	Others     []accountCard // without a card
	Notifiers  []notify.Status
	Events     []event
	NoEvents   bool // the database does not answer
}

// An accountCard is an account on the overview.
type accountCard struct {
	watcher.AccountStatus
	Visibility visibility
	Chart      chart // empty without a card
}

// accounts returns the status of all accounts.
func (s *site) accounts(ctx context.Context) []watcher.AccountStatus {
	ctx, cancel := context.WithTimeout(ctx, overviewTimeout)
	defer cancel()
	return s.Accounts(ctx)
}

func (s *site) overview(r *http.Request) (view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), overviewTimeout)
	defer cancel()
	now, status := time.Now(), s.accounts(ctx)
	o := overview{Visibility: visibilityOf(status)}
	for _, a := range status {
		o.Others = append(o.Others, accountCard{AccountStatus: a, Visibility: accountVisibility(a)})
	}
	slices.SortStableFunc(o.Others, func(a, b accountCard) int { return cmp.Compare(b.Visibility.Level, a.Visibility.Level) })
	n := len(o.Others)
	if n > maxCards {
		n = cardsOfMany
	}
	o.Accounts, o.Others = o.Others[:n], o.Others[n:]
	for i, a := range o.Accounts {
		o.Accounts[i].Chart = newChart(a.AccountStatus, s.History.of(a.Name, now), now)
	}
	notifiers, err := s.Notifiers.Notifiers(ctx)
	o.Notifiers, o.Delivery = notifiers, deliveryStatusOf(notifiers, err)
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Limit: overviewEvents})
	o.Events, o.NoEvents = decodeEvents(events), err != nil
	return view{Name: "overview", Section: "overview", Data: o}, nil
}

// Live is how many live tasks are in a state.
func (a accountCard) Live(state string) int { return a.Tasks[watcher.State(state)] }
