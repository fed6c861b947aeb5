package web

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// maxConnections is how many connections are kept open at once. It is less where the
	// process may open fewer than twice as many files.
	maxConnections = 2048
	// maxPerAddress is how many of them one address can have; a quarter is left for
	// others. One proxy can still bring all streams.
	maxPerAddress = maxConnections * 3 / 4
)

// A Listener bounds the connections that are open at once, in total and for each remote
// address. It refuses none and lets none wait: where a connection is one too many, another
// is closed for it, so that a health probe gets an answer however many connections are
// held open. Closed is one of the address that has the most: see [phase] for which.
type Listener struct {
	net.Listener
	closed     *tally // connections that were closed for others
	limit      int
	perAddress int

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]*address
}

// An address is where connections come from.
type address struct {
	open   int
	phases [phases]list.List // of *conn, those first that have been in the phase for longest
}

// A phase is what a connection is used for. Connections in the first phase are closed for
// others before those in the second, and so on; of one phase, that which has been in it for
// longest is.
type phase int

const (
	idle      phase = iota // a request was answered, and no other has come
	accepted               // no request has come yet, with its whole header
	anonymous              // a request without a token is received or served
	serving                // a request with one
	streaming              // events
	phases
)

// phaseTime is for a connection that was accepted to become idle. Till then it is closed for
// others only where there are half as many again as there should be: else those that come
// in a burst would close each other.
const phaseTime = 500 * time.Millisecond

// NewListener returns a listener that accepts from l.
func NewListener(l net.Listener, log *zap.Logger) *Listener {
	limit := maxConnections
	if files := openFiles(); files > 0 {
		limit = int(min(uint64(limit), max(1, files/2)))
	}
	return &Listener{
		Listener: l, limit: limit, perAddress: max(1, limit*maxPerAddress/maxConnections),
		closed:    newTally(log, zap.WarnLevel, "connections closed to make room"),
		addresses: make(map[netip.Addr]*address),
	}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, listener: l, from: remoteAddress(inner.RemoteAddr())}
	for _, victim := range l.add(c, time.Now()) {
		victim.Conn.Close() // its server notices that it cannot be read
		l.closed.add(zap.Stringer("address", victim.from))
	}
	return c, nil
}

// add adds a connection, and removes and returns those to close for it: one, or where a
// burst has left too many, two.
func (l *Listener) add(c *conn, now time.Time) (victims []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 2 {
		if victim := l.victim(c.from, now); victim != nil {
			l.remove(victim)
			victims = append(victims, victim)
		}
	}
	from := l.addresses[c.from]
	if from == nil {
		from = &address{}
		l.addresses[c.from] = from
	}
	l.open++
	from.open++
	c.phase, c.since, c.element = accepted, now, from.phases[accepted].PushBack(c)
	return victims
}

// victim is the connection to close for one from an address; nil: none.
func (l *Listener) victim(addr netip.Addr, now time.Time) *conn {
	switch from := l.addresses[addr]; {
	case from != nil && from.open >= l.perAddress:
		return from.first(now, from.open >= l.perAddress*3/2)
	case l.open >= l.limit:
		return l.largest().first(now, l.open >= l.limit*3/2)
	}
	return nil
}

// largest is the address with the most connections.
func (l *Listener) largest() (most *address) {
	for _, a := range l.addresses {
		if most == nil || a.open > most.open {
			most = a
		}
	}
	return most
}

// first is the connection of an address that is closed first. It is nil where none is idle
// or has been without a token for longer than its time, unless one must be closed
// nevertheless.
func (a *address) first(now time.Time, must bool) *conn {
	for p := range a.phases {
		e := a.phases[p].Front()
		if e == nil {
			continue
		}
		c := e.Value.(*conn)
		if phase(p) == idle || phase(p) < serving && now.Sub(c.since) >= phaseTime {
			return c
		}
	}
	for p := range a.phases {
		if e := a.phases[p].Front(); e != nil && must {
			return e.Value.(*conn)
		}
	}
	return nil
}

// remove forgets a connection. Doing so again changes nothing.
func (l *Listener) remove(c *conn) {
	if c.element == nil {
		return
	}
	from := l.addresses[c.from]
	from.phases[c.phase].Remove(c.element)
	c.element = nil
	l.open--
	if from.open--; from.open == 0 {
		delete(l.addresses, c.from)
	}
}

// A conn is a connection that counts.
type conn struct {
	net.Conn
	listener *Listener
	from     netip.Addr

	// The listener's lock guards these.
	phase    phase
	since    time.Time     // when the phase began
	requests [phases]int   // under way, by phase; more than one with HTTP/2 only
	element  *list.Element // of the address's list for the phase; nil once removed
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// count notes that a request goes from one phase to another; idle is none. The connection is
// in the phase of the request that would be closed last, and after the last one until
// [connState] has it idle: when the answer is written.
func (c *conn) count(from, to phase, at time.Time) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.requests[from]--
	c.requests[to]++
	for p := streaming; p > accepted; p-- {
		if c.requests[p] > 0 {
			c.enter(p, at)
			return
		}
	}
}

// enter has the connection enter a phase. The lock of the listener must be held.
func (c *conn) enter(p phase, at time.Time) {
	if c.element == nil || c.phase == p {
		return
	}
	all := &c.listener.addresses[c.from].phases
	all[c.phase].Remove(c.element)
	c.phase, c.since, c.element = p, at, all[p].PushBack(c)
}

// connState is the ConnState of a server.
func connState(inner net.Conn, state http.ConnState) {
	c, ok := unwrapConn(inner).(*conn)
	if !ok {
		return
	}
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	switch {
	case state == http.StateIdle:
		c.enter(idle, time.Now())
	case state == http.StateActive && c.phase == idle: // a header begins
		c.enter(accepted, time.Now())
	}
}

// unwrapConn is the connection below TLS.
func unwrapConn(c net.Conn) net.Conn {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return c
}

// remoteAddress is the address that a connection is counted for; invalid for a unix
// socket.
func remoteAddress(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return network(tcp.AddrPort().Addr())
}

// network is an address of IPv4, or the network of 64 bits of one of IPv6: one host has
// all addresses there.
func network(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		return prefix.Addr()
	}
	return address
}

// A requestPhase notes in which phase a request is. The nil one, of a request that came
// over no [Listener], notes nothing.
type requestPhase struct {
	conn *conn
	now  phase
}

type connKey struct{}

// withConn is the ConnContext of a server: it keeps the connection for [phaseOf].
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, unwrapConn(c))
}

type phaseKey struct{}

// phaseOf returns the phase of the request of a context, as [beginRequest] began it.
func phaseOf(ctx context.Context) *requestPhase {
	p, _ := ctx.Value(phaseKey{}).(*requestPhase)
	return p
}

// beginRequest notes that the request of a context is served, without a token so far, until
// its phase is idle.
func beginRequest(ctx context.Context) (context.Context, *requestPhase) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return ctx, nil
	}
	p := &requestPhase{conn: c}
	p.enter(anonymous)
	return context.WithValue(ctx, phaseKey{}, p), p
}

func (p *requestPhase) enter(next phase) {
	if p != nil {
		p.conn.count(p.now, next, time.Now())
		p.now = next
	}
}
