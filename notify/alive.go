package notify

import (
	"fmt"
	"time"
)

// stuckAfter is how long one turn of a channel's loop may take, and the saving of an
// outcome after an attempt. It is longer than any database statement may take.
const stuckAfter = 45 * time.Second

// Alive returns an error that names a notifier whose delivery is stuck: its loop has
// stopped turning, or its attempts exceed their timeout and keep others from starting.
// A notifier that fails, is paused or is gone is not stuck.
func (d *Dispatcher) Alive(now time.Time) error {
	for _, c := range d.registry.all() {
		if err := c.alive(now); err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
	}
	return nil
}

func (c *channel) alive(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.lastTurn); since > turnEvery+stuckAfter {
		return fmt.Errorf("its delivery has been stuck for %s", since.Round(time.Second))
	}
	if since := now.Sub(c.lastEnd); c.inFlight > 0 && since > c.settings().Timeout+stuckAfter {
		return fmt.Errorf("none of its %d attempts has ended for %s", c.inFlight, since.Round(time.Second))
	}
	return nil
}
