package notify

// The size of the window of the table that a channel holds in memory. Deliveries that
// wait for a retry are held without their bodies, so that failing ones leave room for new
// ones.
const (
	windowSize = 4096    // deliveries with their bodies
	maxHeld    = 1 << 17 // deliveries, exceeded by a page at most
	pageSize   = 512     // deliveries read from the table at a time
)

// A cursor is how far a channel has read the deliveries of an account.
type cursor struct {
	read   int64 // the highest position that was taken into memory
	newest int64 // the highest position that was committed
	behind bool  // deliveries between the two wait in the table
}

// A demand is what a channel needs from a feed.
type demand int

const (
	nothing     demand = iota
	nextPage           // the next page of the table
	deadLetters        // that its pending deliveries are marked dead: it is gone
)

// addFeed adds a feed whose deliveries are all still to be read.
func (c *channel) addFeed(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursors[f] = &cursor{behind: true}
}

// removeFeed drops a feed and its lanes, which may make room for others.
func (c *channel) removeFeed(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cursors, f)
	c.detached += c.lanes.drop(f)
	c.refill()
}

// offer adds a delivery that was just committed, if there is room and no earlier one
// waits in the table.
func (c *channel) offer(f *Feed, d Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursors[f]
	if at == nil || d.Position <= at.read {
		return
	}
	at.newest = d.Position
	if at.behind = at.behind || c.record.State == Gone || c.full(1); at.behind {
		if c.record.State == Gone {
			f.wanted.Notify()
		}
		return
	}
	at.read = d.Position
	c.lanes.add(f, d)
	c.work.Notify()
}

// full reports whether there is no room for n more deliveries.
func (c *channel) full(n int) bool { return c.lanes.loaded+n > windowSize || c.lanes.held+n > maxHeld }

// demands returns what the channel needs from a feed now; for a page, also the position
// after which it starts and the newest one.
func (c *channel) demands(f *Feed) (after, newest int64, what demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursors[f]
	switch {
	case at == nil || !at.behind || c.detached > 0: // detached attempts would be read again
		return 0, 0, nothing
	case c.record.State == Gone:
		return 0, 0, deadLetters
	case c.lanes.loaded+pageSize > windowSize || c.full(1):
		return 0, 0, nothing
	}
	return at.read, at.newest, nextPage
}

// addPage adds a page of deliveries that starts after a position. newest is the newest
// position when it was read.
func (c *channel) addPage(f *Feed, deliveries []Delivery, after, newest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursors[f]
	if at == nil || at.read != after || c.record.State == Gone {
		return // the page is outdated
	}
	for _, d := range deliveries {
		c.lanes.add(f, d)
		at.read = d.Position
	}
	if len(deliveries) < pageSize && at.newest <= max(at.read, newest) { // nothing was committed since it was read
		at.behind = false
		at.read = max(at.read, at.newest)
	}
	c.work.Notify()
}

// refill wakes the feeds that are behind once there is room for bodies. The caller holds
// c.mu.
func (c *channel) refill() {
	if (c.lanes.loaded > windowSize/2 || c.full(1)) && c.record.State != Gone {
		return
	}
	for f, at := range c.cursors {
		if at.behind {
			f.wanted.Notify()
		}
	}
}
