package notify

// A channel holds a window of the table in memory. Deliveries that wait for another
// attempt are held without their bodies, so that many failing ones leave room for new
// ones.
const (
	windowSize = 4096    // deliveries with their bodies
	maxHeld    = 1 << 17 // deliveries, and at most a page more
	pageSize   = 512     // deliveries read from the table at a time
)

// A cursor says how far a channel has read the deliveries of an account.
type cursor struct {
	read   int64 // the highest position that was read
	newest int64 // the highest position that was seen
	behind bool  // some between them wait in the table
}

// A demand is what a channel needs from a feed.
type demand int

const (
	nothing     demand = iota
	nextPage           // the next page of the table
	deadLetters        // its pending deliveries made dead: it is gone
)

// addFeed adds a feed, of which everything is still to be read.
func (c *channel) addFeed(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursors[f] = &cursor{behind: true}
}

// removeFeed forgets a feed and its lanes, which may make room for the others.
func (c *channel) removeFeed(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cursors, f)
	c.detached += c.lanes.drop(f)
	c.refill()
}

// offer adds a delivery that was just committed, where there is room and none before
// it waits in the table.
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

// full reports whether n more deliveries are too many.
func (c *channel) full(n int) bool { return c.lanes.loaded+n > windowSize || c.lanes.held+n > maxHeld }

// demands returns what the channel needs from a feed now: of a page, after which
// position, and what the newest one is.
func (c *channel) demands(f *Feed) (after, newest int64, what demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursors[f]
	switch {
	case at == nil || !at.behind || c.detached > 0: // what is in flight would be read again
		return 0, 0, nothing
	case c.record.State == Gone:
		return 0, 0, deadLetters
	case c.lanes.loaded+pageSize > windowSize || c.full(1):
		return 0, 0, nothing
	}
	return at.read, at.newest, nextPage
}

// addPage adds the page of deliveries after a position, which was read when the newest
// was as given.
func (c *channel) addPage(f *Feed, deliveries []Delivery, after, newest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursors[f]
	if at == nil || at.read != after || c.record.State == Gone {
		return // the page is out of date
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

// refill makes the feeds that are behind read on, once there is room for some bodies.
// The caller holds c.mu.
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
