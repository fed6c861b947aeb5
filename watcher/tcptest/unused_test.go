package tcptest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// TestUnused takes more than two blocks of ports here and in another process.
func TestUnused(t *testing.T) {
	if os.Getenv("TEST_UNUSED") != "" {
		for range 2*blockSize + 1 {
			fmt.Println(Unused(t))
		}
		return
	}
	own := make(map[string]bool)
	for range 2*blockSize + 1 {
		own[Unused(t)] = true
	}
	if len(own) != 2*blockSize+1 {
		t.Errorf("%d addresses, want %d different ones", len(own), 2*blockSize+1)
	}
	runtime.GC() // does not give a block back
	other := exec.Command(os.Args[0], "-test.run=^TestUnused$")
	other.Env = append(os.Environ(), "TEST_UNUSED=1")
	out, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		address := strings.TrimSpace(line)
		if _, _, err := net.SplitHostPort(address); err != nil {
			continue
		}
		if n++; own[address] {
			t.Errorf("both processes got %s", address)
		}
	}
	if n != 2*blockSize+1 {
		t.Errorf("the other process got %d addresses, want %d:\n%s", n, 2*blockSize+1, out)
	}
}
