package page

import (
	"time"

	"pushwatch/notify"
)

// A deliveryStatus sums up the deliveries to all notifiers.
type deliveryStatus struct {
	Notifiers     int
	Pending, Dead int
	Waiting       time.Duration   // age of the oldest pending delivery
	Inactive      []notify.Status // notifiers that are down, paused or gone
	Unknown       bool            // the database does not answer
}

// lateAfter is the age from which a pending delivery counts as late.
const lateAfter = 30 * time.Second

// Level says how well delivery works.
func (d deliveryStatus) Level() level {
	switch {
	case d.Unknown, d.Dead > 0, len(d.Inactive) > 0:
		return failing
	case d.Waiting > lateAfter:
		return warning
	}
	return ok
}

// Class is the CSS class of the status.
func (d deliveryStatus) Class() string {
	if l := d.Level(); l > ok || d.Notifiers > 0 {
		return l.Class()
	}
	return "idle"
}

// Word is the status in a few words.
func (d deliveryStatus) Word() message {
	switch {
	case d.Unknown:
		return say("delivery.unknown")
	case len(d.Inactive) == 1:
		return say("delivery."+string(d.Inactive[0].State), "Notifier", d.Inactive[0].Name)
	case len(d.Inactive) > 1:
		return say("delivery.inactives", "N", len(d.Inactive))
	case d.Dead > 0:
		return say("delivery.dead", "N", d.Dead)
	case d.Waiting > lateAfter:
		return say("delivery.late")
	case d.Notifiers == 0:
		return say("delivery.no_notifier")
	case d.Pending > 0:
		return say("delivery.pending")
	}
	return say("delivery.done")
}

// deliveryStatusOf sums up the status of notifiers; err says why it is not known.
func deliveryStatusOf(notifiers []notify.Status, err error) deliveryStatus {
	d := deliveryStatus{Notifiers: len(notifiers), Unknown: err != nil}
	for _, n := range notifiers {
		d.Pending += n.Pending
		d.Dead += n.Dead
		d.Waiting = max(d.Waiting, n.Waiting)
		if n.State != notify.Active {
			d.Inactive = append(d.Inactive, n)
		}
	}
	return d
}
