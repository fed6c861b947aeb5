package notify

import (
	"context"
	"slices"
	"time"
)

// A Wait says what a pending delivery waits for. The zero Wait is that of one that is
// settled.
type Wait struct {
	For      WaitReason
	Delivery DeliveryID // the earlier one, with [WaitsForPush] and [WaitsForSubject]
	Until    time.Time  // with [WaitsForRequestedPause], [WaitsForProbe] and [WaitsForRetry]
}

// A WaitReason is the kind of thing that a delivery waits for.
type WaitReason string

// The reasons.
const (
	WaitsForSettings       WaitReason = "settings"        // which have no notifier of its name
	WaitsForGone           WaitReason = "gone"            // its notifier is gone
	WaitsForPaused         WaitReason = "paused"          // its notifier is paused
	WaitsForRequestedPause WaitReason = "requested_pause" // that its receiver asked for
	WaitsForProbe          WaitReason = "probe"           // its notifier is down
	WaitsForPush           WaitReason = "push"            // an earlier event of it
	WaitsForSubject        WaitReason = "subject"         // an earlier event of it
	WaitsForRetry          WaitReason = "retry"
	WaitsForTurn           WaitReason = "turn"
)

// WaitReasons are all of them.
var WaitReasons = []WaitReason{
	WaitsForSettings, WaitsForGone, WaitsForPaused, WaitsForRequestedPause, WaitsForProbe, WaitsForPush, WaitsForSubject, WaitsForRetry, WaitsForTurn,
}

// String says it in words; empty: it waits for nothing.
func (w Wait) String() string {
	until := w.Until.UTC().Format(time.RFC3339)
	switch w.For {
	case WaitsForSettings:
		return "a notifier of this name: the settings have none"
	case WaitsForGone:
		return "the notifier, which is gone"
	case WaitsForPaused:
		return "the notifier, which is paused"
	case WaitsForRequestedPause:
		return "the notifier, which asked for a pause until " + until
	case WaitsForProbe:
		return "the notifier, which is down: next probe at " + until
	case WaitsForPush:
		return "an earlier event of the same push: " + w.Delivery.String()
	case WaitsForSubject:
		return "an earlier event of the same subject: " + w.Delivery.String()
	case WaitsForRetry:
		return "its retry at " + until
	case WaitsForTurn:
		return "its turn"
	}
	return ""
}

// explain sets WaitsFor in the pending ones among some records.
func (d *Dispatcher) explain(ctx context.Context, records []Record) error {
	now := time.Now()
	var open []*Record // those that do not wait for their notifier
	var ids []DeliveryID
	for i := range records {
		r := &records[i]
		if r.State != Pending {
			continue
		}
		if r.WaitsFor = d.waitsForNotifier(now, r.Notifier); r.WaitsFor == (Wait{}) {
			open, ids = append(open, r), append(ids, r.ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	ahead, err := d.archive.Ahead(ctx, ids)
	if err != nil {
		return err
	}
	for _, r := range open {
		first, behindPush := ahead[r.ID]
		head, behind := d.laneHead(r)
		switch {
		case behindPush:
			r.WaitsFor = Wait{For: WaitsForPush, Delivery: first}
		case behind:
			r.WaitsFor = Wait{For: WaitsForSubject, Delivery: head}
		case r.NextAttemptAt.After(now):
			r.WaitsFor = Wait{For: WaitsForRetry, Until: r.NextAttemptAt}
		default:
			r.WaitsFor = Wait{For: WaitsForTurn}
		}
	}
	return nil
}

// laneHead returns the delivery at the head of a record's lane, if that is another one
// and this process holds both in memory. It is for events that belong to no task, among
// which [Archive.Ahead] does not search: it would have to read all of them.
func (d *Dispatcher) laneHead(r *Record) (DeliveryID, bool) {
	c := d.named(r.Notifier)
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

// waitsForNotifier returns why nothing is sent to a notifier now; zero: it receives
// deliveries.
func (d *Dispatcher) waitsForNotifier(now time.Time, notifier string) Wait {
	c := d.named(notifier)
	if c == nil {
		return Wait{For: WaitsForSettings}
	}
	switch r := c.copyRecord(); {
	case r.State == Gone:
		return Wait{For: WaitsForGone}
	case r.State == Paused:
		return Wait{For: WaitsForPaused}
	case r.shown(now) == Paused:
		return Wait{For: WaitsForRequestedPause, Until: r.PausedUntil}
	case r.shown(now) == Down:
		return Wait{For: WaitsForProbe, Until: r.NextProbeAt}
	}
	return Wait{}
}
