package page

import (
	"time"

	"pushwatch/notify"
)

// A telling is the truth about what notifiers were told.
type telling struct {
	Notifiers     int
	Pending, Dead int
	Waiting       time.Duration // for how long the oldest pending delivery has waited
	Troubled      []string      // those that are paused or gone
	Unknown       bool          // the database does not say
}

// lateAfter is how long a delivery may wait without being worth a word.
const lateAfter = 30 * time.Second

// Class names the telling for the style.
func (t telling) Class() string {
	switch {
	case t.Unknown, t.Dead > 0, len(t.Troubled) > 0:
		return "partly"
	case t.Waiting > lateAfter:
		return "slowed"
	case t.Notifiers == 0:
		return "idle"
	}
	return "clear"
}

// Word is the telling in a few words; seen is the truth about what could be told.
func (t telling) Word(seen seeing) string {
	switch {
	case t.Unknown:
		return "Not known what was told"
	case len(t.Troubled) > 0:
		return "Not all is told"
	case t.Dead > 0:
		return "Something was given up"
	case t.Waiting > lateAfter:
		return "Told late"
	case t.Notifiers == 0:
		return "Nobody to tell"
	case t.Pending > 0:
		return "Telling"
	case seen.Sight >= partly:
		return "All that was seen is told"
	}
	return "All is told"
}

// tell sums up what notifiers were told.
func tell(notifiers []notify.Status, err error) telling {
	t := telling{Notifiers: len(notifiers), Unknown: err != nil}
	for _, n := range notifiers {
		t.Pending += n.Pending
		t.Dead += n.Dead
		t.Waiting = max(t.Waiting, n.Waiting)
		if n.State != notify.Active {
			t.Troubled = append(t.Troubled, n.Name)
		}
	}
	return t
}
