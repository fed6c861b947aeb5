package tencent

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is the shortest round trip that the kernel has seen on a connection,
// which after its opening is that of the handshake; 0: not known. The process's
// own clock would add how late a busy machine wakes it, and so make the network
// seem slower than it is.
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
