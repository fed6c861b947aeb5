package storetest

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy is a TCP proxy to a PostgreSQL server. While it is closed the server seems
// unavailable; see also [Proxy.Slow].
type Proxy struct {
	// URL is the server's URL through the proxy.
	URL string

	delay          atomic.Int64 // nanoseconds
	socket, server string

	mu       sync.Mutex
	listener net.Listener // nil: closed
	conns    map[net.Conn]bool
}

// NewProxy returns a closed proxy to the server of a URL that [Postgres] gave.
func NewProxy(t testing.TB, rawURL string) *Proxy {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	server, folder, through := redirect(t, rawURL)
	p := &Proxy{
		URL: through, socket: filepath.Join(folder, socket), server: filepath.Join(server, socket), conns: make(map[net.Conn]bool),
	}
	t.Cleanup(p.Close)
	return p
}

// redirect returns the folder of the socket of a server's URL, a new folder for another socket, and
// the URL by way of that one.
func redirect(t testing.TB, rawURL string) (server, folder, through string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	must(t, err)
	folder, err = os.MkdirTemp("", "storetest-") // t.TempDir is too long for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	query := u.Query()
	server = query.Get("host")
	query.Set("host", folder)
	u.RawQuery = query.Encode()
	return server, folder, u.String()
}

// Slow delays all further data to the server.
func (p *Proxy) Slow(delay time.Duration) { p.delay.Store(int64(delay)) }

// Open makes the proxy serve.
func (p *Proxy) Open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", p.socket)
	must(t, err)
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
			go p.pass(delayed{server, &p.delay}, client)
			go p.pass(client, server)
		}
	}()
}

// Close makes the proxy refuse new connections and closes the open ones.
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

// pass copies until either end is closed.
func (p *Proxy) pass(to io.WriteCloser, from net.Conn) {
	p.mu.Lock()
	p.conns[from] = true
	if p.listener == nil {
		from.Close()
	}
	p.mu.Unlock()
	io.Copy(to, from)
	to.Close()
	from.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}

// delayed is a connection whose writes are delayed.
type delayed struct {
	io.WriteCloser
	delay *atomic.Int64
}

func (d delayed) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(d.delay.Load()))
	return d.WriteCloser.Write(b)
}
