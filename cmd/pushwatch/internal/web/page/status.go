package page

import (
	"context"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// A level says how well watching or delivery works. A higher one is worse.
type level int

const (
	ok      level = iota
	warning       // later than promised
	failing       // a part does not work
	blind         // nothing is visible
)

// Class is the CSS class of the level.
func (l level) Class() string { return [...]string{"ok", "warning", "failing", "blind"}[l] }

// statusTimeout is how long a status waits for the database. It shows what is visible
// with or without it.
const statusTimeout = 2 * time.Second

// A status sums up watching and delivery.
type status struct {
	Visibility visibility
	Delivery   deliveryStatus
	accounts   []watcher.AccountStatus
	notifiers  []notify.Status
}

// status reads the status of all accounts and notifiers.
func (s *site) status(ctx context.Context) *status {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st := &status{accounts: s.Accounts(ctx)}
	notifiers, err := s.Dispatcher.Notifiers(ctx)
	st.notifiers = notifiers
	st.Visibility, st.Delivery = visibilityOf(st.accounts), deliveryStatusOf(notifiers, err)
	return st
}

// Level is the worse one of watching and delivery.
func (s *status) Level() level { return max(s.Visibility.Level, s.Delivery.Level()) }

// Class is the CSS class of the status.
func (s *status) Class() string {
	if s.Level() == ok {
		return s.Visibility.Class()
	}
	return s.Level().Class()
}

// Word is the status in a few words: what is worst.
func (s *status) Word() message {
	switch {
	case s.Delivery.Level() > s.Visibility.Level:
		return s.Delivery.Word()
	case s.Visibility.Level > ok, s.Visibility.Idle:
		return s.Visibility.Word()
	}
	return say("status.ok")
}
