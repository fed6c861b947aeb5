package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// TestDamagedDatabase starts the daemon on what is left of a database. In each case it
// must end with status 2 and say how to restore a backup, and leave the file as it is:
// least of all may it take an empty one for a new database.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	var lives []tiwsim.Life
	for _, id := range []string{"a-{n}", "b-{n}"} {
		lives = append(lives, tiwsim.Life{SDKAppID: 1400000001, TaskID: id, Count: 500})
	}
	for name, damage := range map[string]func(t *testing.T, path string){
		"other text": func(t *testing.T, path string) {
			overwrite(t, path, 0, []byte(strings.Repeat("not a database ", 1000)))
		},
		"empty": func(t *testing.T, path string) { truncate(t, path, 0) },
		"empty with a write-ahead log": func(t *testing.T, path string) {
			truncate(t, path, 0)
			os.Remove(path + ".lock")
			overwrite(t, path+"-wal", 0, make([]byte, 4096))
		},
		"gone with a write-ahead log": func(t *testing.T, path string) {
			os.Remove(path)
			os.Remove(path + ".lock")
			overwrite(t, path+"-wal", 0, make([]byte, 4096))
		},
		"cut short":   func(t *testing.T, path string) { truncate(t, path, 3*4096) },
		"zeroed part": func(t *testing.T, path string) { overwrite(t, path, 4096, make([]byte, fileSize(t, path)-2*4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tiwsim.Config{}, notifytest.Config{})
			s.settings += taskTables(lives...)
			store := sqliteURL(t)
			path := strings.TrimPrefix(store, "sqlite:")
			p, address := s.serve(t, store)
			p.Process.Signal(os.Interrupt)
			if err := p.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, p.log)
			}
			damage(t, path)
			before := fileSize(t, path)
			file := s.file(t, address, store)
			for range 2 {
				p = launch(t, "serve", "--config", file)
				p.Wait()
				if code := p.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(p.log.String(), "the database is damaged: ") ||
					!strings.Contains(p.log.String(), "copy the last backup over the file") {
					t.Errorf("exit status %d, want %d and the steps to restore a backup\n%s", code, exitUsage, p.log)
				}
			}
			if after := fileSize(t, path); after != before {
				t.Errorf("the file has %d bytes, and had %d", after, before)
			}
		})
	}
}

// TestKilledBeforeDatabase starts the daemon beside a lock file alone, as a crash in the
// first moment of the first start leaves it: the database is made.
func TestKilledBeforeDatabase(t *testing.T) {
	t.Parallel()
	s := newScene(t, tiwsim.Config{}, notifytest.Config{})
	store := sqliteURL(t)
	path := strings.TrimPrefix(store, "sqlite:")
	for _, left := range []string{path + ".lock", path + ".new", path + ".new-wal"} {
		overwrite(t, left, 0, nil)
	}
	s.serve(t, store)
	left, err := exec.Command("sh", "-c", "ls "+path+".new*").CombinedOutput()
	if err == nil {
		t.Errorf("what the crash left is still there:\n%s", left)
	}
}

// fileSize is how many bytes a file has; -1: there is none.
func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// overwrite puts bytes into a file, which it makes where there is none.
func overwrite(t *testing.T, path string, at int64, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
