// Package tcptest serves TCP connections for tests of answers that net/http would not send: cut,
// reset, malformed or missing. It also finds ports without a server.
package tcptest

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// deadline ends a connection whose handler hangs.
const deadline = 30 * time.Second

// Serve listens on a free loopback port until the test ends, and returns the address.
// Each connection gets a goroutine that runs handle and closes the connection after.
func Serve(tb testing.TB, handle func(*net.TCPConn, *bufio.Reader)) (address string) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(deadline))
				handle(conn.(*net.TCPConn), bufio.NewReader(conn))
			}()
		}
	}()
	return listener.Addr().String()
}
