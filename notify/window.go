package notify

// What a channel wants of a feed.
type want int

const (
	nothing want = iota
	reading      // the next page of the table
	burying      // its deliveries given up
)

// join adds a feed, of which everything still has to be read.
func (c *channel) join(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positions[f] = &position{behind: true}
}

// part forgets a feed and its lanes, which may make room for the others.
func (c *channel) part(f *Feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.positions, f)
	c.strays += c.lanes.drop(f)
	c.refill()
}

// offer takes a delivery that was just committed, where there is room and none
// before it waits in the table.
func (c *channel) offer(f *Feed, d Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.positions[f]
	if p == nil || d.Position <= p.taken {
		return
	}
	p.newest = d.Position
	if p.behind = p.behind || c.standing.State == Gone || c.full(1); p.behind {
		if c.standing.State == Gone {
			f.refill()
		}
		return
	}
	p.taken = d.Position
	c.lanes.add(f, d)
	c.poke()
}

// full reports whether n more deliveries are too many.
func (c *channel) full(n int) bool { return c.lanes.loaded+n > window || c.lanes.held+n > maxHeld }

// wants says what the channel wants of a feed now: of a page, after which
// position, and what the newest one is.
func (c *channel) wants(f *Feed) (after, newest int64, w want) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.positions[f]
	switch {
	case p == nil || !p.behind || c.strays > 0: // what is under way would be read again
		return 0, 0, nothing
	case c.standing.State == Gone:
		return 0, 0, burying
	case c.lanes.loaded+page > window || c.full(1):
		return 0, 0, nothing
	}
	return p.taken, p.newest, reading
}

// fill takes the page of deliveries after a position, which was read when the
// newest was as given.
func (c *channel) fill(f *Feed, deliveries []Delivery, after, newest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.positions[f]
	if p == nil || p.taken != after || c.standing.State == Gone {
		return // it is another matter by now
	}
	for _, d := range deliveries {
		c.lanes.add(f, d)
		p.taken = d.Position
	}
	if len(deliveries) < page && p.newest <= max(p.taken, newest) { // nothing was committed since it was read
		p.behind = false
		p.taken = max(p.taken, p.newest)
	}
	c.poke()
}

// refill has the feeds that are behind read on, once there is room for some bodies.
// c.mu is held.
func (c *channel) refill() {
	if (c.lanes.loaded > window/2 || c.full(1)) && c.standing.State != Gone {
		return
	}
	for f, p := range c.positions {
		if p.behind {
			f.refill()
		}
	}
}
