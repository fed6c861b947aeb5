package notify

import (
	"context"

	"go.uber.org/zap"
)

// orphans counts the pending deliveries of each notifier that the settings do not name,
// perhaps because it was renamed: they go nowhere.
func (d *Dispatcher) orphans(tallies map[string]Tally) map[string]int {
	pending := make(map[string]int)
	for name, t := range tallies {
		if t.Pending > 0 && d.registry.named(name) == nil {
			pending[name] = t.Pending
		}
	}
	return pending
}

// warnOfOrphans logs once for each notifier that it has orphans.
func (d *Dispatcher) warnOfOrphans(ctx context.Context) {
	tallies, err := d.tallies.get(ctx)
	if err != nil {
		return // whoever asks for the counts gets the error
	}
	orphans := d.orphans(tallies)
	for name, pending := range orphans {
		if d.warned[name] == 0 {
			d.log.Warn("deliveries without notifier", zap.String("notifier", name), zap.Int("deliveries", pending),
				zap.String("hint", "the settings do not name this notifier: they go on once it has its old name again"))
		}
	}
	d.warned = orphans
}
