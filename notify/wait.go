package notify

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// explain sets WaitsFor in the pending ones among some records.
func (d *Dispatcher) explain(ctx context.Context, records []Record) error {
	now := time.Now()
	var open []DeliveryID // those that do not wait for their notifier
	for i := range records {
		r := &records[i]
		if r.State != Pending {
			continue
		}
		if r.WaitsFor = d.waitsForNotifier(now, r.Notifier); r.WaitsFor == "" {
			open = append(open, r.ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	ahead, err := d.archive.Ahead(ctx, open)
	if err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		if r.State != Pending || r.WaitsFor != "" {
			continue
		}
		first, behindPush := ahead[r.ID]
		head, behind := d.laneHead(r)
		switch {
		case behindPush:
			r.WaitsFor = fmt.Sprintf("an earlier event of the same push: %s", first)
		case behind:
			r.WaitsFor = fmt.Sprintf("an earlier event of the same subject: %s", head)
		case r.NextAttemptAt.After(now):
			r.WaitsFor = "its retry at " + inWords(r.NextAttemptAt)
		default:
			r.WaitsFor = "its turn"
		}
	}
	return nil
}

// laneHead returns the delivery at the head of a record's lane, if that is another one
// and this process holds both in memory. It is for events that belong to no task, among
// which [Archive.Ahead] does not search: it would have to read all of them.
func (d *Dispatcher) laneHead(r *Record) (DeliveryID, bool) {
	c := d.registry.named(r.Notifier)
	if c == nil { // it was just removed from the settings
		return DeliveryID{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.cursors {
		l := c.lanes.all[laneKey{f.account, r.Subject}]
		if l != nil && slices.ContainsFunc(l.queue[1:], func(d Delivery) bool { return d.ID == r.ID.ID && d.EventID == r.EventID }) {
			return DeliveryID{Shard: r.ID.Shard, ID: l.queue[0].ID}, true
		}
	}
	return DeliveryID{}, false
}

// waitsForNotifier returns why nothing is sent to a notifier now; empty: it receives
// deliveries.
func (d *Dispatcher) waitsForNotifier(now time.Time, notifier string) string {
	c := d.registry.named(notifier)
	if c == nil {
		return "a notifier of this name: the settings have none"
	}
	switch r := c.copyRecord(); {
	case r.State == Gone:
		return "the notifier, which is gone"
	case r.State == Paused:
		return "the notifier, which is paused"
	case r.shown(now) == Paused:
		return "the notifier, which asked for a pause until " + inWords(r.PausedUntil)
	case r.shown(now) == Down:
		return "the notifier, which is down: next probe at " + inWords(r.NextProbeAt)
	}
	return ""
}

func inWords(t time.Time) string { return t.UTC().Format(time.RFC3339) }
