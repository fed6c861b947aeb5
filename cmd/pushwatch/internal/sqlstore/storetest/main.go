package storetest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	disk   = os.TempDir() // by the environment, TMPDIR
	memory = "/dev/shm"   // where Linux keeps files in memory
)

// Main runs the tests of a package that uses databases. Most of them wait, so more run at
// a time than there are processors, unless the command line has a -parallel.
func Main(m *testing.M) {
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	UseMemory()
	os.Exit(m.Run())
}

// UseMemory puts the temporary files of tests into memory where there is room: a test with a
// SQLite database would mostly wait for the disk, and sees no difference. Benchmarks do, and
// keep the disk.
func UseMemory() {
	benchmarks := slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(strings.TrimLeft(arg, "-"), "test.bench") })
	if !benchmarks && hasRoom(memory) {
		os.Setenv("TMPDIR", memory)
	}
}

// hasRoom reports whether the files of tests fit into a folder. Containers often give
// [memory] 64 MB.
func hasRoom(folder string) bool {
	var s unix.Statfs_t
	return unix.Access(folder, unix.W_OK) == nil && unix.Statfs(folder, &s) == nil && s.Bavail*uint64(s.Bsize) > 1<<30
}
