package sqlstore

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// boundUnacked makes the kernel close a TCP connection whose data is unacknowledged for
// postgresUnacked.
func boundUnacked(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	if e := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(postgresUnacked.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}
