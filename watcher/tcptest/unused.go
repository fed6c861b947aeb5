package tcptest

import (
	"net"
	"strconv"
	"sync"
	"testing"
)

// Unused ports are taken in blocks, from a range below that of outgoing connections. The
// process listens on the first port of its blocks, so that no other takes the same.
const (
	firstBlock, lastBlock = 20000, 32000
	blockSize             = 40
)

// block is where [Unused] continues: the next port of the newest block, and its end.
var block struct {
	sync.Mutex
	next, end int
	taken     []net.Listener // open until the process ends
}

// Unused returns a loopback address on which nothing listens. No other call returns it, in
// this process or in another that runs, and no outgoing connection gets it.
func Unused(tb testing.TB) (address string) {
	tb.Helper()
	block.Lock()
	defer block.Unlock()
	for {
		if block.next >= block.end {
			takeBlock(tb)
		}
		address = loopback(block.next)
		block.next++
		if listener, err := net.Listen("tcp", address); err == nil { // else the port is in use
			listener.Close()
			return address
		}
	}
}

// takeBlock takes a block that no running process uses.
func takeBlock(tb testing.TB) {
	tb.Helper()
	for start := max(firstBlock, block.end); start <= lastBlock; start += blockSize {
		if listener, err := net.Listen("tcp", loopback(start)); err == nil {
			block.taken = append(block.taken, listener)
			block.next, block.end = start+1, start+blockSize
			return
		}
	}
	tb.Fatalf("no block of ports is free from %d to %d", firstBlock, lastBlock+blockSize-1)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
