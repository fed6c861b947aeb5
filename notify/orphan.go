package notify

import (
	"context"

	"go.uber.org/zap"
)

// strays counts the pending deliveries of each notifier that the settings do not name:
// one that was renamed, perhaps, so that nobody is told.
func (d *Dispatcher) strays(tallies map[string]Tally) map[string]int {
	pending := make(map[string]int)
	for name, t := range tallies {
		if t.Pending > 0 && d.roster.named(name) == nil {
			pending[name] = t.Pending
		}
	}
	return pending
}

// warnOfStrays says once of each stray that there are some.
func (d *Dispatcher) warnOfStrays(ctx context.Context) {
	tallies, err := d.tallies.get(ctx)
	if err != nil {
		return // whoever asks for the counts is told
	}
	strays := d.strays(tallies)
	for name, pending := range strays {
		if d.warned[name] == 0 {
			d.log.Warn("deliveries wait for a notifier that the settings do not name: they go on once it has its old name again",
				zap.String("notifier", name), zap.Int("deliveries", pending))
		}
	}
	d.warned = strays
}
