package storetest

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A Proxy stands before a PostgreSQL server, which is away while it is closed, and
// slow where it is told so.
type Proxy struct {
	// URL leads to the server by way of the proxy.
	URL string

	delay          time.Duration
	socket, server string

	mu       sync.Mutex
	listener net.Listener // nil: closed
	conns    map[net.Conn]bool
}

// NewProxy returns a closed proxy to the server of a URL that [Postgres] gave. What
// it passes on to the server it passes on after a delay.
func NewProxy(t testing.TB, rawURL string, delay time.Duration) *Proxy {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "storetest-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	query := u.Query()
	p := &Proxy{
		delay: delay, socket: filepath.Join(folder, socket), server: filepath.Join(query.Get("host"), socket), conns: make(map[net.Conn]bool),
	}
	query.Set("host", folder)
	u.RawQuery = query.Encode()
	p.URL = u.String()
	t.Cleanup(func() {
		p.Close()
		os.RemoveAll(folder)
	})
	return p
}

// Open has the proxy serve.
func (p *Proxy) Open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", p.server)
			if err != nil {
				client.Close()
				continue
			}
			go p.pass(server, client, p.delay)
			go p.pass(client, server, 0)
		}
	}()
}

// Close has the proxy refuse connections, and cut those that there are.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for conn := range p.conns {
		conn.Close()
	}
}

// pass copies, each piece after a delay, until either end is closed.
func (p *Proxy) pass(to, from net.Conn, delay time.Duration) {
	p.mu.Lock()
	p.conns[from] = true
	if p.listener == nil {
		from.Close()
	}
	p.mu.Unlock()
	io.Copy(delayed{to, delay}, from)
	to.Close()
	from.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}

// delayed is a writer that waits before each write.
type delayed struct {
	io.Writer
	delay time.Duration
}

func (d delayed) Write(b []byte) (int, error) {
	time.Sleep(d.delay)
	return d.Writer.Write(b)
}
