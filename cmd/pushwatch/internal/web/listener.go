package web

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// maxConnections is how many connections may be open. It is lower if the process may
	// open fewer than twice as many files.
	maxConnections = 2048
	// maxPerAddress is how many of them one address may have, so that a quarter is left for
	// others. It is still enough for all streams through one proxy.
	maxPerAddress = maxConnections * 3 / 4
)

// A Listener limits the open connections, in total and per remote address. It accepts every
// connection at once; if there are too many it closes another one, so that a health probe is
// answered even if many connections are held open. It closes one of the address that has the
// most; [phase] says which.
type Listener struct {
	net.Listener
	closed     *tally // connections that were closed to make room
	limit      int
	perAddress int
	turns      turns // of the connections without a token

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]*address
}

// An address is a remote address with its connections.
type address struct {
	open   int
	phases [phases]list.List // of *conn, longest in the phase first
}

// A phase is what a connection is used for. When room is needed, connections in the first
// phase are closed first, then those in the second, and so on; within a phase, the one that
// has been in it the longest.
type phase int

const (
	idle      phase = iota // between requests
	accepted               // the header of the first request is not complete yet
	anonymous              // receiving or serving a request without a token
	serving                // serving a request with a token
	streaming              // sending events
	phases
)

// phaseTime protects a connection in the phases accepted and anonymous: until then it is
// closed only if there are one and a half times as many as allowed. Otherwise the connections
// of a burst would close each other.
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
	runtime.Gosched() // in a burst, the connection accepted before begins first
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, listener: l, from: remoteAddress(inner.RemoteAddr())}
	for _, victim := range l.add(c, time.Now()) {
		victim.Conn.Close() // the server notices it by its next read
		l.closed.add(zap.Stringer("address", victim.from))
	}
	return c, nil
}

// add adds a connection, and removes and returns those to close for it: one, or two if a
// burst has left too many.
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

// victim returns the connection to close for a new one from an address; nil: none.
func (l *Listener) victim(addr netip.Addr, now time.Time) *conn {
	switch from := l.addresses[addr]; {
	case from != nil && from.open >= l.perAddress:
		return from.first(now, from.open >= l.perAddress*3/2)
	case l.open >= l.limit:
		return l.largest(from).first(now, l.open >= l.limit*3/2)
	}
	return nil
}

// largest returns the address with the most connections; of several, the newcomer's if it is
// one of them. A nil newcomer has no connections.
func (l *Listener) largest(newcomer *address) *address {
	most := newcomer
	for _, a := range l.addresses {
		if most == nil || a.open > most.open {
			most = a
		}
	}
	return most
}

// first returns the connection of an address to close first. It is nil if none is idle or
// has been without a token for longer than phaseTime, unless one must be closed.
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

// remove removes a connection. It may be called again.
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

// A conn is a connection that its [Listener] counts.
type conn struct {
	net.Conn
	listener *Listener
	from     netip.Addr

	// The listener's lock guards these.
	phase    phase
	since    time.Time     // when the phase began
	requests [phases]int   // in progress, by phase; more than one only with HTTP/2
	element  *list.Element // in the address's list for the phase; nil once removed
}

// Read implements [net.Conn]. Without a token it returns when it is the connection's turn.
func (c *conn) Read(b []byte) (int, error) {
	c.listener.turns.end(c)
	n, err := c.Conn.Read(b)
	if !c.trusted() {
		c.listener.turns.take(c)
	}
	return n, err
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	c.listener.turns.end(c)
	return c.Conn.Write(b)
}

// CloseWrite is called by the server before it waits half a second and closes a refused
// connection. It only ends the turn: the later a refused client sees the end, the later it
// comes back.
func (c *conn) CloseWrite() error {
	c.listener.turns.end(c)
	return nil
}

// trusted reports whether a request with a token is in progress.
func (c *conn) trusted() bool {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	return c.phase >= serving
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	c.listener.turns.end(c)
	return c.Conn.Close()
}

// count records that a request moves from one phase to another; idle means no request. The
// connection is in the highest phase of its requests. It keeps that after the last request,
// until [connState] makes it idle when the answer is written.
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

// enter moves the connection to a phase. The caller holds the listener's lock.
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
	case state == http.StateActive && c.phase == idle: // a new request begins
		c.enter(accepted, time.Now())
	}
}

// unwrapConn returns the connection below TLS.
func unwrapConn(c net.Conn) net.Conn {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return c
}

// remoteAddress returns the address for which a connection is counted; invalid for a unix
// socket.
func remoteAddress(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return network(tcp.AddrPort().Addr())
}

// network returns an IPv4 address unchanged, and the /64 network of an IPv6 address, because
// one host can have all addresses in it.
func network(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		return prefix.Addr()
	}
	return address
}

// A requestPhase tracks the phase of a request. The nil one, for a request that did not come
// through a [Listener], does nothing.
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

// phaseOf returns the phase of the request of a context; see [beginRequest].
func phaseOf(ctx context.Context) *requestPhase {
	p, _ := ctx.Value(phaseKey{}).(*requestPhase)
	return p
}

// beginRequest starts the phase of the request of a context, as one without a token. The
// request ends when it enters idle.
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
		if next >= serving {
			p.conn.listener.turns.end(p.conn)
		}
		p.conn.count(p.now, next, time.Now())
		p.now = next
	}
}
