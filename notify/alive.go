package notify

import (
	"fmt"
	"time"
)

// stuckAfter is how long a channel's loop may take for one turn, and the saving of
// an outcome after an attempt: longer than any statement on the database may.
const stuckAfter = 45 * time.Second

// Alive returns an error that names a notifier to which nothing is sent although
// something may be: the loop that starts its attempts no longer turns, or attempts
// outlast their time limit and keep others from being started. A notifier that
// fails, is paused or gone is no such case.
func (d *Dispatcher) Alive(now time.Time) error {
	for _, c := range d.roster.all() {
		if err := c.alive(now); err != nil {
			return fmt.Errorf("notifier %s: %w", c.Name, err)
		}
	}
	return nil
}

func (c *channel) alive(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.turned); since > turnTime+stuckAfter {
		return fmt.Errorf("its delivering has been stuck for %s", since.Round(time.Second))
	}
	if since := now.Sub(c.ended); c.inFlight > 0 && since > c.now().Timeout+stuckAfter {
		return fmt.Errorf("none of its %d attempts has ended for %s", c.inFlight, since.Round(time.Second))
	}
	return nil
}
