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

// ErrNoNotifier means that the settings name no such notifier.
var ErrNoNotifier = errors.New("no such notifier")

// Status is what can be told of a notifier.
type Status struct {
	Name, Type  string
	URL         string // where it is, without secrets; empty where it is nowhere
	State       Condition
	PausedUntil time.Time // while the notifier itself has asked for silence; else zero
	Pending     int
	Dead        int
	Waiting     time.Duration // for how long the oldest pending delivery has waited; 0: none does
	LastError   string        // of its last attempt, or why it is gone; empty where that succeeded
}

// Notifiers tells how the notifiers are, in the order of the settings. The counts
// may be some seconds old. A notifier that has asked for silence is shown as
// [Paused].
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
	for _, c := range d.roster.all() {
		n, t := c.now(), tallies[c.Name]
		s := Status{Name: c.Name, Type: n.Type, Pending: t.Pending, Dead: t.Dead, Waiting: t.waiting(now)}
		if at, ok := n.Sender.(interface{ Target() string }); ok {
			s.URL = at.Target()
		}
		c.mu.Lock()
		s.State, s.LastError = c.standing.condition(now), c.lastError
		if !c.standing.open(now) {
			s.LastError = cmp.Or(s.LastError, c.standing.Reason)
		}
		if c.standing.PausedUntil.After(now) {
			s.PausedUntil = c.standing.PausedUntil
		}
		c.mu.Unlock()
		list = append(list, s)
	}
	return list, nil
}

// Pause has a notifier's deliveries wait until it is resumed, also after a
// restart. What is under way is not cut off. One that is gone stays so.
func (d *Dispatcher) Pause(ctx context.Context, notifier string) error {
	return d.setStanding(ctx, notifier, "pause", func(s *Standing) {
		if s.State != Gone {
			s.change(time.Now(), Paused, "")
		}
	})
}

// Resume ends every pause of a notifier, and that it is gone. What went to dead
// letter meanwhile stays there: see [Dispatcher.RetryAll].
func (d *Dispatcher) Resume(ctx context.Context, notifier string) error {
	return d.setStanding(ctx, notifier, "resume", func(s *Standing) {
		s.change(time.Now(), Active, "")
		s.PausedUntil = time.Time{}
	})
}

// setStanding changes the standing of a notifier as it is saved.
func (d *Dispatcher) setStanding(ctx context.Context, notifier, what string, change func(*Standing)) error {
	c, err := d.channel(notifier)
	for err == nil {
		if err = d.tryStanding(ctx, c, change); !errors.Is(err, watcher.ErrConflict) {
			break
		}
		err = context.Cause(ctx) // again: an attempt, or somebody elsewhere, has changed it meanwhile
	}
	if err != nil {
		return fmt.Errorf("%s notifier %s: %w", what, notifier, err)
	}
	return nil
}

// tryStanding is a turn of setStanding.
func (d *Dispatcher) tryStanding(ctx context.Context, c *channel, change func(*Standing)) error {
	standings, err := d.archive.Standings(ctx)
	if err != nil {
		return err
	}
	s := Standing{Notifier: c.Name, State: Active}
	if i := slices.IndexFunc(standings, func(s Standing) bool { return s.Notifier == c.Name }); i >= 0 {
		s = standings[i]
	}
	saved := s.Version
	s.Version = max(saved, c.copyStanding().Version) // what is known here may be on its way there
	was := s.Version
	change(&s)
	if s.Version > was {
		if err := d.archive.SaveStanding(ctx, s, saved); err != nil {
			return err
		}
	}
	c.adopt(s)
	return nil
}

func (c *channel) copyStanding() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standing
}

func (d *Dispatcher) channel(notifier string) (*channel, error) {
	c := d.roster.named(notifier)
	if c == nil {
		return nil, ErrNoNotifier
	}
	return c, nil
}

// adopt takes over a standing that was saved, unless what is known here is newer.
func (c *channel) adopt(s Standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := s.Version == c.standing.Version && s.State == c.standing.State && s.PausedUntil.Equal(c.standing.PausedUntil)
	if same || s.Version < c.standing.Version {
		return
	}
	was := c.standing.State
	c.standing = s
	if s.State == Gone || was == Gone {
		c.abandon() // what waits is buried, or read again
	}
	if s.State == Active {
		c.lastError = ""
	}
	c.poke()
}

// refreshEvery is how often standings are read that other processes may have saved,
// besides when [Dispatcher.Refresh] is called.
const refreshEvery = 30 * time.Second

// Refresh takes over the standings that were saved, by other processes too.
func (d *Dispatcher) Refresh(ctx context.Context) error {
	standings, err := d.archive.Standings(ctx)
	if err != nil {
		return err
	}
	for _, s := range standings {
		if c := d.roster.named(s.Notifier); c != nil {
			c.adopt(s)
		}
	}
	return nil
}

// Test sends a webhook.test event to one notifier, by way of an account that this
// process owns, or, where it owns none, that another does, and returns the event's
// id once it is saved. It waits for its turn like any other: behind a pause, for one.
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
	d.events.WithLabelValues(string(e.Type)).Inc()
	return e.ID, nil
}

// Retry replays one delivery that is delivered or dead: the same event, byte for
// byte, with its attempts and its age counted anew. One that is pending is left as
// it is. [ErrNoDelivery] where there is none.
func (d *Dispatcher) Retry(ctx context.Context, id DeliveryID) error {
	_, err := d.archive.Replay(ctx, Selection{ID: id})
	return err
}

// RetryAll replays the dead deliveries of a notifier that were created from since
// on and before until, and returns how many. A zero time is no bound.
func (d *Dispatcher) RetryAll(ctx context.Context, notifier string, since, until time.Time) (int, error) {
	if _, err := d.channel(notifier); err != nil {
		return 0, fmt.Errorf("retry deliveries to %s: %w", notifier, err)
	}
	n, err := d.archive.Replay(ctx, Selection{Notifier: notifier, Since: since, Until: until})
	if err != nil {
		return 0, err
	}
	d.log.Info("deliveries replayed", zap.String("notifier", notifier), zap.Int("deliveries", n))
	return n, nil
}

// Deliveries reads a page of deliveries: see [Archive].
func (d *Dispatcher) Deliveries(ctx context.Context, q Query) ([]Record, error) {
	return d.archive.Deliveries(ctx, q)
}

// Delivery reads one delivery with its attempts: see [Archive].
func (d *Dispatcher) Delivery(ctx context.Context, id DeliveryID) (Record, []Attempt, error) {
	return d.archive.Delivery(ctx, id)
}

// Attempts reads those of some deliveries: see [Archive].
func (d *Dispatcher) Attempts(ctx context.Context, ids []DeliveryID) (map[DeliveryID][]Attempt, error) {
	return d.archive.Attempts(ctx, ids)
}
