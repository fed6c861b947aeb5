package tencent

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip returns the kernel's shortest round trip on a connection; 0: not known. On a new
// connection it is that of the handshake. Measured in the process it would include the delay
// of a busy machine.
func roundTrip(conn net.Conn) time.Duration {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }) != nil || err != nil {
		return 0
	}
	return time.Duration(info.Min_rtt) * time.Microsecond
}
