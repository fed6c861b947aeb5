package storetest

import (
	"flag"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	disk   = os.TempDir() // by the environment, TMPDIR
	memory = "/dev/shm"   // where Linux keeps files in memory
)

// Main runs the tests of a package that uses databases. Most of them wait, so more run at
// a time than there are processors, unless the command line has a -parallel. Where there
// is room their temporary files are in memory: a test with a SQLite database would mostly
// wait for the disk, and sees no difference. Benchmarks do, and keep the disk.
func Main(m *testing.M) {
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" && hasRoom(memory) {
		os.Setenv("TMPDIR", memory)
	}
	os.Exit(m.Run())
}

// hasRoom reports whether the files of tests fit into a folder. Containers often give
// [memory] 64 MB.
func hasRoom(folder string) bool {
	var s unix.Statfs_t
	return unix.Access(folder, unix.W_OK) == nil && unix.Statfs(folder, &s) == nil && s.Bavail*uint64(s.Bsize) > 1<<30
}
