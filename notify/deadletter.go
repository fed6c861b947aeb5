package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Exhausted is the data of a delivery.exhausted event, which reports a dead letter.
type Exhausted struct {
	Account   string            `json:"account"`
	Notifier  string            `json:"notifier"`
	Gone      bool              `json:"gone"` // the notifier answered 410: all its deliveries are dead letters
	EventID   string            `json:"event_id"`
	EventType watcher.EventType `json:"event_type"`
	Subject   string            `json:"subject"`
	Attempts  int               `json:"attempts"`
	LastError string            `json:"last_error"`
}

// deadLetter makes the event that reports a dead letter. gone means that this attempt was
// answered 410; the outcome then holds the notifier's record. The event's id is derived from
// the delivery and its last replay, so that the same dead letter makes no second event after
// a crash.
func (d *Dispatcher) deadLetter(dead *Delivery, o *Outcome, gone bool) *watcher.Event {
	fact := fmt.Sprintf("exhausted|%s|%s|%d", dead.Notifier, dead.EventID, dead.Since.UnixMicro())
	subject := dead.Subject
	if gone {
		fact, subject = fmt.Sprintf("gone|%s|%d", dead.Notifier, o.Notifier.Version), dead.Notifier
	}
	at := o.Attempt.At.Add(o.Attempt.Duration)
	return d.event(watcher.DeliveryExhausted, watcher.FactID(fact), subject, dead.Account, at, d.deadLetterNotifiers(dead.Notifier), Exhausted{
		Account: dead.Account, Notifier: dead.Notifier, Gone: gone, EventID: dead.EventID, EventType: dead.Type,
		Subject: dead.Subject, Attempts: o.Attempts, LastError: o.Attempt.Error,
	})
}

// event makes an event that belongs to no task.
func (d *Dispatcher) event(kind watcher.EventType, id, subject, account string, at time.Time, notifiers []string, data any) *watcher.Event {
	return &watcher.Event{
		ID: id, Type: kind, Account: account, ObservedAt: at, Notifiers: notifiers,
		Body: watcher.NewEnvelope(d.instance, id, kind, subject, at, data).Encode(),
	}
}

// deadLetterNotifiers names the notifiers that get the event about a notifier's dead
// letter: its fallback, even if that one's own events exclude it, and every log notifier.
func (d *Dispatcher) deadLetterNotifiers(notifier string) []string {
	var names []string
	if c := d.named(notifier); c != nil && c.settings().Fallback != "" {
		names = append(names, c.settings().Fallback)
	}
	for _, c := range d.all() {
		if c.settings().Type == "log" && c.Name != notifier && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// recordDead counts and logs a dead letter, and adds the event about it to the outcome.
// A gone notifier gets one event and one log line for all its deliveries; a delivery that
// itself reports a dead letter gets no event.
func (c *channel) recordDead(d *Delivery, o *Outcome, answeredGone bool) {
	c.metrics.dead(1)
	gone := answeredGone && o.Notifier != nil
	if !gone && c.copyRecord().State == Gone {
		return
	}
	if !gone {
		c.log.Error("delivery dead", zap.String("event", d.EventID), d.about(),
			zap.Int("attempt", o.Attempts), zap.String("error", o.Attempt.Error))
	}
	if gone || d.Type != watcher.DeliveryExhausted {
		o.Announce = c.dispatcher.deadLetter(d, o, gone)
	}
}

// expire marks as dead the heads of busy lanes, which are too old, and the deliveries
// behind them that are too old as well.
func (c *channel) expire(ctx context.Context, old []*lane) {
	for _, l := range old {
		for c.expireHead(ctx, l) {
		}
	}
	c.work.Notify()
}

// expireHead marks the head of a busy lane as dead, and reports whether the next one is
// too old as well: then the lane stays busy.
func (c *channel) expireHead(ctx context.Context, l *lane) bool {
	c.mu.Lock()
	d := l.queue[0]
	reason := "not delivered within " + c.settings().MaxAge.String()
	if c.lastError != "" {
		reason += ": " + c.lastError
	}
	c.mu.Unlock()
	now := time.Now()
	o := Outcome{
		ID: d.ID, Position: d.Position, State: Dead, Attempts: d.Attempts + 1, Requests: d.Requests,
		Attempt: Attempt{At: now, Error: reason},
	}
	c.recordDead(&d, &o, false)
	l.feed.settle(ctx, o)

	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lanes.owns(l) {
		c.detached--
		c.refill()
		return false
	}
	c.lanes.done(l)
	c.refill()
	if len(l.queue) > 0 && now.Sub(l.queue[0].Since) >= c.settings().MaxAge {
		c.lanes.take(l)
		l.busy = true
		return true
	}
	return false
}
