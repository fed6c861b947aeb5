package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// ErrNoNotifier means that no notifier in the settings has that name.
var ErrNoNotifier = errors.New("no such notifier")

// Status describes a notifier for people.
type Status struct {
	Name, Type  string
	URL         string // without secrets; empty if it has none
	State       NotifierState
	PausedUntil time.Time // the end of a pause that the notifier itself asked for; zero: none
	NextProbeAt time.Time // while it is down; zero otherwise
	Pending     int
	Dead        int
	Waiting     time.Duration // of the oldest pending delivery; 0: none is pending
	LastError   string        // of the last failed attempt; empty once a delivery succeeded
}

// Notifiers returns the status of all notifiers, in the order of the settings. The
// counts may be some seconds old. A notifier that asked for a pause is shown as [Paused].
func (d *Dispatcher) Notifiers(ctx context.Context) ([]Status, error) {
	tallies, err := d.tallies.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("list notifiers: %w", err)
	}
	if err := d.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("list notifiers: %w", err)
	}
	var list []Status
	now := time.Now()
	for _, c := range d.all() {
		n, t := c.settings(), tallies[c.Name]
		s := Status{Name: c.Name, Type: n.Type, Pending: t.Pending, Dead: t.Dead, Waiting: t.waiting(now)}
		if at, ok := n.Sender.(interface{ Target() string }); ok {
			s.URL = at.Target()
		}
		c.mu.Lock()
		s.State, s.LastError = c.record.shown(now), cmp.Or(c.lastError, c.record.Reason)
		if s.State == Down {
			s.NextProbeAt = c.record.NextProbeAt
		}
		if c.record.PausedUntil.After(now) {
			s.PausedUntil = c.record.PausedUntil
		}
		c.mu.Unlock()
		list = append(list, s)
	}
	return list, nil
}

// Pause stops delivery to a notifier until it is resumed, even across restarts. Attempts
// in flight continue. A notifier that is gone stays gone.
func (d *Dispatcher) Pause(ctx context.Context, notifier string) error {
	return d.changeRecord(ctx, notifier, "pause", "notifier paused", func(r *NotifierRecord) {
		if r.State != Gone {
			r.change(time.Now(), Paused)
		}
	})
}

// Resume makes a paused or gone notifier active again. Its dead letters stay dead: see
// [Dispatcher.RetryAll].
func (d *Dispatcher) Resume(ctx context.Context, notifier string) error {
	return d.changeRecord(ctx, notifier, "resume", "notifier resumed", func(r *NotifierRecord) {
		r.change(time.Now(), Active)
		r.PausedUntil = time.Time{}
	})
}

// changeRecord changes the saved record of a notifier and logs done.
func (d *Dispatcher) changeRecord(ctx context.Context, notifier, what, done string, change func(*NotifierRecord)) error {
	c, err := d.channel(notifier)
	for err == nil {
		if err = d.tryChange(ctx, c, change); !errors.Is(err, watcher.ErrConflict) {
			break
		}
		err = context.Cause(ctx) // try again: an attempt or another process changed it first
	}
	if err != nil {
		return fmt.Errorf("%s notifier %s: %w", what, notifier, err)
	}
	c.log.Info(done)
	return nil
}

// tryChange is one try of changeRecord.
func (d *Dispatcher) tryChange(ctx context.Context, c *channel, change func(*NotifierRecord)) error {
	records, err := d.archive.NotifierRecords(ctx)
	if err != nil {
		return err
	}
	r := NotifierRecord{Notifier: c.Name, State: Active}
	if i := slices.IndexFunc(records, func(r NotifierRecord) bool { return r.Notifier == c.Name }); i >= 0 {
		r = records[i]
	}
	saved := r.Version
	r.Version = max(saved, c.copyRecord().Version) // the channel's may not be saved yet
	was := r.Version
	change(&r)
	if r.Version > was {
		if err := d.archive.SaveNotifier(ctx, r, saved); err != nil {
			return err
		}
	}
	c.adopt(r)
	return nil
}

func (c *channel) copyRecord() NotifierRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

func (d *Dispatcher) channel(notifier string) (*channel, error) {
	c := d.named(notifier)
	if c == nil {
		return nil, ErrNoNotifier
	}
	return c, nil
}

// adopt replaces the channel's record with a saved one, unless the channel's is newer.
func (c *channel) adopt(r NotifierRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := r.Version == c.record.Version && r.State == c.record.State &&
		r.PausedUntil.Equal(c.record.PausedUntil) && r.DownSince.Equal(c.record.DownSince)
	if same || r.Version < c.record.Version {
		return
	}
	if c.record.Reason != "" && r.Reason == "" { // another process has delivered
		c.lastError = ""
	}
	was := c.record.State
	c.record = r
	if r.State == Gone || was == Gone {
		c.dropLanes() // pending deliveries become dead, or are read again
	}
	c.work.Notify()
}

// refreshEvery is how often [Dispatcher.Run] calls [Dispatcher.Refresh].
const refreshEvery = 30 * time.Second

// Refresh reads the notifiers' saved records again: other processes may have changed
// them.
func (d *Dispatcher) Refresh(ctx context.Context) error {
	records, err := d.archive.NotifierRecords(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		if c := d.named(r.Notifier); c != nil {
			c.adopt(r)
		}
	}
	return nil
}

// Test makes a webhook.test event for one notifier and returns its id once it is saved.
// The event belongs to an account that this process owns or, if it owns none, that
// another does. It is delivered like any other: a paused notifier gets it after the pause.
func (d *Dispatcher) Test(ctx context.Context, notifier string) (eventID string, err error) {
	if _, err := d.channel(notifier); err != nil {
		return "", fmt.Errorf("test notifier %s: %w", notifier, err)
	}
	account, box := d.anyAccount()
	e := d.event(watcher.WebhookTest, watcher.FactID(rand.Text()), notifier, account, time.Now(), []string{notifier}, struct {
		Notifier string `json:"notifier"`
	}{notifier})
	if box != nil {
		err = box.Announce(ctx, *e)
	} else {
		err = d.archive.Announce(ctx, *e)
	}
	if err != nil {
		return "", fmt.Errorf("test notifier %s: %w", notifier, err)
	}
	d.tallies.expire()
	d.events.WithLabelValues(string(e.Type)).Inc()
	return e.ID, nil
}

// Retry replays one delivery that is delivered or dead: it sends the same event, byte
// for byte, and attempts and age restart from zero. A pending one is left alone. It
// returns how many it replays, and [ErrNoDelivery] if there is no such delivery.
func (d *Dispatcher) Retry(ctx context.Context, id DeliveryID) (int, error) {
	defer d.tallies.expire()
	return d.archive.Replay(ctx, Selection{ID: id})
}

// RetryAll replays the dead deliveries of a notifier that were created at or after since
// and before until, and returns how many. A zero time is no bound.
func (d *Dispatcher) RetryAll(ctx context.Context, notifier string, since, until time.Time) (int, error) {
	if _, err := d.channel(notifier); err != nil {
		return 0, fmt.Errorf("retry deliveries to %s: %w", notifier, err)
	}
	defer d.tallies.expire()
	n, err := d.archive.Replay(ctx, Selection{Notifier: notifier, Since: since, Until: until})
	if err != nil {
		return 0, err
	}
	d.log.Info("deliveries replayed", zap.String("notifier", notifier), zap.Int("deliveries", n))
	return n, nil
}

// Deliveries reads a page of deliveries, with what each pending one waits for.
func (d *Dispatcher) Deliveries(ctx context.Context, q Query) ([]Record, error) {
	records, err := d.archive.Deliveries(ctx, q)
	if err == nil {
		err = d.explain(ctx, records)
	}
	return records, err
}

// Delivery reads one delivery with its attempts, and what it waits for.
func (d *Dispatcher) Delivery(ctx context.Context, id DeliveryID) (Record, []Attempt, error) {
	record, attempts, err := d.archive.Delivery(ctx, id)
	records := []Record{record}
	if err == nil {
		err = d.explain(ctx, records)
	}
	return records[0], attempts, err
}

// Attempts reads the attempts of some deliveries: see [Archive].
func (d *Dispatcher) Attempts(ctx context.Context, ids []DeliveryID) (map[DeliveryID][]Attempt, error) {
	return d.archive.Attempts(ctx, ids)
}
