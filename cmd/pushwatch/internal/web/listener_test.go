package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// limited serves h over sockets with a limit of connections.
func limited(t *testing.T, h *Handler, limit, perAddress int) (l *Listener, address string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = NewListener(inner, zap.NewNop())
	l.limit, l.perAddress = limit, perAddress
	server := NewServer(h, zap.NewNop())
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l, inner.Addr().String()
}

// dialFrom connects to a server from an address of this machine and sends text.
func dialFrom(t *testing.T, from, address, text string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// probe asks for a path on a connection of its own, and fails where no answer comes within
// a second.
func probe(t *testing.T, address, path string) {
	t.Helper()
	c := dialFrom(t, "127.0.0.1", address, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	c.SetDeadline(time.Now().Add(time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("GET %s: %v, want an answer within a second", path, err)
		return
	}
	if answer.StatusCode != http.StatusOK {
		t.Errorf("GET %s = %s, want 200", path, answer.Status)
	}
}

// isOpen reports whether a server has left a connection open.
func isOpen(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	netErr, ok := err.(net.Error)
	return ok && netErr.Timeout()
}

func healthy(cfg Config) *Handler {
	cfg.Metrics = prometheus.NewRegistry()
	cfg.Alive = func() error { return nil }
	cfg.Ready = func(context.Context) error { return nil }
	return New(cfg)
}

// TestHeldConnections holds as many connections as are kept, in every way that takes no
// token, while probes from the same address ask.
func TestHeldConnections(t *testing.T) {
	const limit = 50
	for name, text := range map[string]string{
		"nothing sent":  "",
		"half a header": "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + strings.Repeat("x", 1000),
		"idle":          "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"half a body":   "POST /v1/callbacks/tiw/1400000001 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n{",
		"no body":       "POST /signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: text/html\r\nContent-Length: 4000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, address := limited(t, healthy(Config{Tokens: []Token{NewToken("backend", "write-write-write", Write)}}), limit, limit)
			for range 2 * limit {
				dialFrom(t, "127.0.0.1", address, text)
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				probe(t, address, path)
			}
			l.mu.Lock()
			open := l.open
			l.mu.Unlock()
			if open > limit*3/2 {
				t.Errorf("%d connections are open, want at most %d", open, limit*3/2)
			}
		})
	}
}

// TestConnectionsOfOthers holds connections from one address: those of another stay open,
// and so does a stream from the first.
func TestConnectionsOfOthers(t *testing.T) {
	const limit = 20
	j := newJournal(1)
	l, address := limited(t, healthy(Config{Events: j}), limit, limit)
	const idle = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	stream := dialFrom(t, "127.0.0.2", address, "GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r := reader{bufio.NewReader(stream), stream}
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("stream = %q, %v, want 200", line, err)
	}
	var others []net.Conn
	for range limit / 2 {
		c := dialFrom(t, "127.0.0.1", address, idle)
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		others = append(others, c)
		l.awaitIdle(t, "127.0.0.1", len(others)) // so that they are idle in this order
	}
	for range 3 * limit {
		dialFrom(t, "127.0.0.2", address, idle)
	}
	probe(t, address, "/healthz")
	for i, c := range others[1:] { // the first made room for the probe, or could have
		if !isOpen(c) {
			t.Errorf("connection %d of another address was closed", i+1)
		}
	}
	j.add(1)
	for deadline := time.Now().Add(5 * time.Second); ; {
		stream.SetReadDeadline(deadline)
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if strings.HasPrefix(line, "data: ") {
			break
		}
	}
}

// awaitIdle waits until so many connections of an address are idle.
func (l *Listener) awaitIdle(t *testing.T, from string, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		a := l.addresses[netip.MustParseAddr(from)]
		got := 0
		if a != nil {
			got = a.phases[idle].Len()
		}
		l.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("idle connections from %s = %d, want %d", from, got, n)
		}
	}
}

// TestConnectionsPerAddress holds that one address never has more than its part.
func TestConnectionsPerAddress(t *testing.T) {
	const limit, part = 20, 5
	l, address := limited(t, healthy(Config{}), limit, part)
	for range 3 * part {
		dialFrom(t, "127.0.0.2", address, "")
	}
	probe(t, address, "/healthz")
	l.mu.Lock()
	defer l.mu.Unlock()
	for from, a := range l.addresses {
		if a.open > part*3/2 {
			t.Errorf("%s has %d connections, want at most %d", from, a.open, part*3/2)
		}
	}
}

// TestClosingOrder holds in which order connections are closed for others.
func TestClosingOrder(t *testing.T) {
	l := &Listener{limit: 6, perAddress: 6, addresses: make(map[netip.Addr]*address)}
	now := time.Now()
	var all []*conn
	for _, p := range []phase{streaming, serving, anonymous, anonymous, serving, accepted} {
		c := &conn{listener: l}
		if victims := l.add(c, now); victims != nil {
			t.Fatalf("connection %d of %d has another closed", len(all)+1, l.limit)
		}
		if p != accepted {
			c.count(idle, p, now)
		}
		all = append(all, c)
	}
	all[3].count(anonymous, idle, now)
	connState(all[3], http.StateIdle)
	all[4].count(serving, idle, now)
	connState(all[4], http.StateIdle) // after the other
	now = now.Add(phaseTime)
	for _, want := range [][]int{{3}, {4}, {5}, {2}, {}, {}, {}, {1}, {0}} {
		c := &conn{listener: l}
		if got := indexes(all, l.add(c, now)); !slices.Equal(got, want) {
			t.Errorf("connections %v are closed, want %v", got, want)
		}
		c.count(idle, streaming, now.Add(time.Hour)) // closed last
	}
}

// TestBurst holds that connections which come at once do not close each other, but for
// those beyond half as many again.
func TestBurst(t *testing.T) {
	const limit = 20
	l := &Listener{limit: limit, perAddress: limit, addresses: make(map[netip.Addr]*address)}
	now := time.Now()
	var all []*conn
	add := func(want ...int) {
		t.Helper()
		c := &conn{listener: l}
		all = append(all, c)
		if closed := indexes(all, l.add(c, now)); !slices.Equal(closed, want) {
			t.Errorf("connection %d closes %v, want %v", len(all)-1, closed, want)
		}
	}
	for range limit * 3 / 2 {
		add()
	}
	add(0) // the limit of a burst
	connState(all[7], http.StateIdle)
	add(7)
	now = now.Add(phaseTime)
	add(1, 2)
	add(3, 4)
	for l.open > limit {
		l.add(&conn{listener: l}, now)
	}
	if l.open != limit {
		t.Errorf("%d connections are open after the burst, want %d", l.open, limit)
	}
}

// TestNewConnections holds that new connections do not close each other where those that
// are held have sent a part of a body.
func TestNewConnections(t *testing.T) {
	const limit = 20
	l := &Listener{limit: limit, perAddress: limit, addresses: make(map[netip.Addr]*address)}
	now := time.Now()
	held := make(map[*conn]bool)
	for range limit {
		c := &conn{listener: l}
		l.add(c, now)
		c.count(idle, anonymous, now)
		held[c] = true
	}
	now = now.Add(phaseTime)
	for range limit {
		victims := l.add(&conn{listener: l}, now)
		if len(victims) != 1 || !held[victims[0]] {
			t.Fatalf("%v are closed, want one of those that are held", victims)
		}
	}
}

// indexes are where connections stand among all.
func indexes(all, some []*conn) (list []int) {
	for _, c := range some {
		list = append(list, slices.Index(all, c))
	}
	return list
}

// TestNetwork holds by what connections are counted.
func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7:1":            "192.0.2.7",
		"[::ffff:192.0.2.7]:1":   "192.0.2.7",
		"[2001:db8:1:2:3::4]:1":  "2001:db8:1:2::",
		"[fe80::1%eth0]:1":       "fe80::",
		"[2001:db8:1:2:ffff::]:": "invalid IP",
	} {
		if got := clientAddress(&http.Request{RemoteAddr: text}); got.String() != want {
			t.Errorf("clientAddress(%s) = %s, want %s", text, got, want)
		}
	}
	if got := remoteAddress(&net.UnixAddr{Name: "@"}); got.IsValid() {
		t.Errorf("remoteAddress of a unix socket = %s, want none", got)
	}
}

// TestOptions asks for what the server would answer by itself.
func TestOptions(t *testing.T) {
	_, address := limited(t, healthy(Config{Tokens: []Token{NewToken("backend", "write-write-write", Write)}}), 10, 10)
	for header, want := range map[string]int{"": http.StatusUnauthorized, "Authorization: Bearer write-write-write\r\n": http.StatusNotFound} {
		c := dialFrom(t, "127.0.0.1", address, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if kind := answer.Header.Get("Content-Type"); answer.StatusCode != want || kind != "application/problem+json" {
			t.Errorf("OPTIONS * with %q = %d %s, want %d and a problem", header, answer.StatusCode, kind, want)
		}
	}
}

// TestPhasesOverTLS holds that connections over TLS and HTTP/2 count too, for what they are
// used for.
func TestPhasesOverTLS(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, answered := make(chan struct{}), make(chan struct{})
	h := healthy(Config{Tokens: []Token{NewToken("backend", "write-write-write", Write)}})
	h.Handler = guard(h.tokens, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			phaseOf(r.Context()).enter(serving)
		}
		asked <- struct{}{}
		<-answered
	}))
	l := NewListener(inner, zap.NewNop())
	s := httptest.NewUnstartedServer(nil)
	s.Listener.Close()
	s.Listener, s.Config, s.EnableHTTP2 = l, NewServer(h, zap.NewNop()), true
	s.StartTLS()
	defer s.Close()
	phaseNow := func() (all []phase) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, a := range l.addresses {
			for p := range a.phases {
				for range a.phases[p].Len() {
					all = append(all, phase(p))
				}
			}
		}
		return all
	}
	var requests sync.WaitGroup
	get := func(path string) {
		requests.Go(func() {
			answer, err := s.Client().Get(s.URL + path)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			if answer.ProtoMajor != 2 {
				t.Errorf("%s came over HTTP/%d, want 2", path, answer.ProtoMajor)
			}
		})
		<-asked
	}
	for _, c := range []struct {
		path string
		want phase
	}{{"/", anonymous}, {"/token", serving}, {"/", serving}} { // the connection is that of all
		get(c.path)
		if got := phaseNow(); !slices.Equal(got, []phase{c.want}) {
			t.Errorf("phases while %s is served = %v, want %v", c.path, got, c.want)
		}
	}
	close(answered)
	requests.Wait()
	for deadline := time.Now().Add(5 * time.Second); !slices.Equal(phaseNow(), []phase{idle}); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("phases afterwards = %v, want idle", phaseNow())
		}
	}
}
