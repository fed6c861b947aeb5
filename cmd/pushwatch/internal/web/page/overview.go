package page

import (
	"cmp"
	"context"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	// maxCards is how many accounts can have a sparkline on the overview. With more
	// accounts, only the worst cardsOfMany have one: the others have a row.
	maxCards    = 6
	cardsOfMany = 3
	// maxNotifiers is how many notifiers the overview lists, the worst ones.
	maxNotifiers = 6
	// overviewEvents is how many events the overview lists.
	overviewEvents = 12
)

// An overview shows at a glance how watching and delivery go.
type overview struct {
	*status
	Accounts      []accountCard   // the worst first
	Others        []accountCard   // without a sparkline
	Notifiers     []notify.Status // the worst first
	MoreNotifiers int             // that are left out
	Events        []event
	NoEvents      bool // the database does not answer
}

// An accountCard is an account with its visibility and its last hour.
type accountCard struct {
	watcher.AccountStatus
	Visibility visibility
	Sparkline  panel // on the overview
	Chart      chart // on the account's page
}

// Live is how many live tasks are in a state.
func (a accountCard) Live(state string) int { return a.Tasks[watcher.State(state)] }

func (s *site) overview(r *request) (view, error) {
	st, now := s.status(r.Context()), time.Now()
	o := overview{status: st}
	o.Notifiers, o.MoreNotifiers = worstNotifiers(st.notifiers)
	for _, a := range st.accounts {
		o.Others = append(o.Others, accountCard{AccountStatus: a, Visibility: accountVisibility(a)})
	}
	slices.SortStableFunc(o.Others, func(a, b accountCard) int { return cmp.Compare(b.Visibility.Level, a.Visibility.Level) })
	n := len(o.Others)
	if n > maxCards {
		n = cardsOfMany
	}
	o.Accounts, o.Others = o.Others[:n], o.Others[n:]
	for i, a := range o.Accounts {
		o.Accounts[i].Sparkline = newSparkline(r.Locale, a.AccountStatus, s.History.of(a.Name, now), now)
	}
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	events, err := s.Events.RecentEvents(ctx, watcher.RecentQuery{Limit: overviewEvents})
	o.Events, o.NoEvents = decodeEvents(events), err != nil
	return view{Name: "overview", Section: "overview", Data: o, Status: st}, nil
}

// worstNotifiers are those of the overview, and how many it leaves out.
func worstNotifiers(all []notify.Status) (worst []notify.Status, more int) {
	rank := func(n notify.Status) int {
		switch {
		case n.State != notify.Active:
			return 0
		case n.Dead > 0:
			return 1
		case n.Pending > 0:
			return 2
		}
		return 3
	}
	worst = slices.SortedStableFunc(slices.Values(all), func(a, b notify.Status) int { return cmp.Compare(rank(a), rank(b)) })
	if more = len(worst) - maxNotifiers; more > 0 {
		return worst[:maxNotifiers], more
	}
	return worst, 0
}

// account shows one account with the charts of its last hour.
func (s *site) account(r *request) (view, error) {
	st, now := s.status(r.Context()), time.Now()
	for _, a := range st.accounts {
		if a.Name == r.PathValue("account") {
			card := accountCard{AccountStatus: a, Visibility: accountVisibility(a)}
			card.Chart = newChart(r.Locale, a, s.History.of(a.Name, now), now)
			return view{Name: "account", Title: say("account.title", "Name", a.Name), Section: "overview", Data: card, Status: st}, nil
		}
	}
	return view{}, errNoPage
}
