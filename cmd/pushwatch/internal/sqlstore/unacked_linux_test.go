package sqlstore

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnacked reads what a TCP connection to PostgreSQL is told.
func TestUnacked(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := (&net.Dialer{Control: boundUnacked}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
	if want := int(postgresUnacked.Milliseconds()); err != nil || got != want {
		t.Errorf("TCP_USER_TIMEOUT = %d ms, %v, want %d", got, err, want)
	}
}
