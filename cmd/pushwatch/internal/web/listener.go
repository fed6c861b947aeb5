package web

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
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
// held open. Closed is one of the address that has the most, in this order: one without a
// request, one whose request is still being received, one whose request is served, a
// stream; of these the one that has been so for the longest time.
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

// A phase is what a connection is used for.
type phase int

// The phases, in the order in which connections are closed for others.
const (
	waiting   phase = iota // for a request: idle, or the header is not complete
	receiving              // the body of a request
	serving
	streaming // events
	phases
)

// NewListener returns a listener that accepts from l.
func NewListener(l net.Listener, log *zap.Logger) *Listener {
	limit := maxConnections
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		limit = int(min(uint64(limit), max(1, files.Cur/2)))
	}
	return &Listener{
		Listener: l, limit: limit, perAddress: max(1, limit*maxPerAddress/maxConnections),
		closed:    newTally(log, zap.WarnLevel, "connections closed to make room"),
		addresses: make(map[netip.Addr]*address),
	}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, listener: l, from: remoteAddress(accepted.RemoteAddr())}
	if victim := l.add(c); victim != nil {
		victim.Conn.Close() // its server notices that it cannot be read
		l.closed.add(zap.Stringer("address", victim.from))
	}
	return c, nil
}

// add adds a connection, and removes and returns the one to close for it, if any.
func (l *Listener) add(c *conn) (victim *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.addresses[c.from]
	switch {
	case from != nil && from.open >= l.perAddress:
		victim = from.first()
	case l.open >= l.limit:
		victim = l.largest().first()
	}
	if victim != nil {
		l.remove(victim)
	}
	if from = l.addresses[c.from]; from == nil {
		from = &address{}
		l.addresses[c.from] = from
	}
	l.open++
	from.open++
	c.element = from.phases[waiting].PushBack(c)
	return victim
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

// first is the connection of an address that is closed first.
func (a *address) first() *conn {
	for p := range a.phases {
		if e := a.phases[p].Front(); e != nil {
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

// move notes that a request goes from one phase to another. The connection is in the
// phase of the request that would be closed last.
func (c *conn) move(from, to phase) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.requests[from]--
	c.requests[to]++
	now := waiting
	for p := receiving; p < phases; p++ {
		if c.requests[p] > 0 {
			now = p
		}
	}
	if c.element != nil && (now != c.phase || now == waiting) {
		all := &c.listener.addresses[c.from].phases
		all[c.phase].Remove(c.element)
		c.phase, c.element = now, all[now].PushBack(c)
	}
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
	if over, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = over.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

type phaseKey struct{}

// phaseOf returns the phase of the request of a context, as [beginRequest] began it.
func phaseOf(ctx context.Context) *requestPhase {
	p, _ := ctx.Value(phaseKey{}).(*requestPhase)
	return p
}

// beginRequest notes that the request of a context is served. It has ended when it is
// waiting again.
func beginRequest(ctx context.Context) (context.Context, *requestPhase) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return ctx, nil
	}
	p := &requestPhase{conn: c}
	p.enter(serving)
	return context.WithValue(ctx, phaseKey{}, p), p
}

func (p *requestPhase) enter(next phase) {
	if p != nil {
		p.conn.move(p.now, next)
		p.now = next
	}
}
