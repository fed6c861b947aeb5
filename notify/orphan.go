package notify

import (
	"context"

	"go.uber.org/zap"
)

// orphans counts the pending deliveries of each notifier that is not in the settings,
// perhaps because it was renamed. Nothing delivers them.
func (d *Dispatcher) orphans(tallies map[string]Tally) map[string]int {
	pending := make(map[string]int)
	for name, t := range tallies {
		if t.Pending > 0 && d.registry.named(name) == nil {
			pending[name] = t.Pending
		}
	}
	return pending
}

// warnOfOrphans logs each notifier with orphans once.
func (d *Dispatcher) warnOfOrphans(ctx context.Context) {
	tallies, err := d.tallies.get(ctx)
	if err != nil {
		return // callers that need the counts report the error
	}
	orphans := d.orphans(tallies)
	for name, pending := range orphans {
		if d.warned[name] == 0 {
			d.log.Warn("deliveries without notifier", zap.String("notifier", name), zap.Int("deliveries", pending),
				zap.String("hint", "the settings have no notifier of this name; restore it to deliver them"))
		}
	}
	d.warned = orphans
}
