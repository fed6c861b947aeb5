package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/notify"
)

// TestBackup copies a database that is written to without a pause, and checks that
// each copy is the database of one moment: no event of a task is missing below its
// last one, nor is any that was acknowledged before.
func TestBackup(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	db := open(t, url)
	defer db.Close()
	a, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { a.Run(ctx) })
	tasks := register(t, db, 0, 200)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	defer cancel()
	saved := make([]int64, len(tasks)) // of each task, what was acknowledged
	var mu sync.Mutex
	for i := range tasks {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				move(t, a, &tasks[i])
				mu.Lock()
				saved[i] = tasks[i].Sequence
				mu.Unlock()
			}
		})
	}
	folder := t.TempDir()
	var copies []string
	var acknowledged [][]int64
	for _, name := range []string{"first.db", "a b?c#d.db", "third.db"} {
		mu.Lock()
		acknowledged = append(acknowledged, slices.Clone(saved))
		mu.Unlock()
		dest := filepath.Join(folder, name)
		size, err := sqlstore.Backup(t.Context(), url, dest)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dest)
		if err != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy is %v, %v, want %d bytes and mode 0600", info, err, size)
		}
		copies = append(copies, dest)
	}
	close(stop)
	writers.Wait()
	if files, err := os.ReadDir(folder); err != nil || len(files) != len(copies) {
		t.Errorf("the folder has %v, %v, want the copies alone", files, err)
	}
	for i, path := range copies {
		checkCopy(t, path, acknowledged[i])
	}
}

// checkCopy opens a copy as a daemon does.
func checkCopy(t *testing.T, path string, acknowledged []int64) {
	t.Helper()
	db := open(t, "sqlite:"+path)
	defer db.Close()
	a, err := db.Own(t.Context(), "school")
	if err != nil {
		t.Fatal(err)
	}
	sequences := make(map[string]int64)
	for after := int64(0); ; {
		page, err := a.Pending(t.Context(), "classroom", after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Position
		checkNumbers(t, page, sequences)
	}
	for i, task := range register(t, db, 0, len(acknowledged)) { // they are there already
		if got := sequences[task.TaskID]; got != task.Sequence || got < acknowledged[i] {
			t.Errorf("%s has %d events and number %d, want %d at least", task.TaskID, got, task.Sequence, acknowledged[i])
		}
	}
}

// checkNumbers counts the events of each task, and checks that none is missing.
func checkNumbers(t *testing.T, deliveries []notify.Delivery, sequences map[string]int64) {
	t.Helper()
	for _, d := range deliveries {
		sequences[d.Task.TaskID]++
		if want := fmt.Sprintf("msg_%s-%d", d.Task.TaskID, sequences[d.Task.TaskID]); d.EventID != want {
			t.Fatalf("delivery %d is of event %s, want %s", d.ID, d.EventID, want)
		}
	}
}

// TestBackupTwice makes two copies of one name at the same time: one is refused.
func TestBackupTwice(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	open(t, url).Close()
	dest := filepath.Join(t.TempDir(), "copy.db")
	faults := make(chan error)
	for range 2 {
		go func() {
			_, err := sqlstore.Backup(t.Context(), url, dest)
			faults <- err
		}()
	}
	a, b := <-faults, <-faults
	if a != nil {
		a, b = b, a
	}
	if a != nil || !errors.Is(b, sqlstore.ErrExists) {
		t.Errorf("Backup() twice = %v and %v, want nil and %v", a, b, sqlstore.ErrExists)
	}
}

func TestBackupFaults(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	open(t, url).Close()
	folder := t.TempDir()
	taken, damaged := filepath.Join(folder, "taken"), filepath.Join(folder, "damaged")
	for path, text := range map[string]string{taken: "mine", damaged: strings.Repeat("x", 8192)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		url, dest string
		want      error
	}{
		{"postgres://u:hunter2@host/db", filepath.Join(folder, "x"), sqlstore.ErrNotSQLite},
		{url, taken, sqlstore.ErrExists},
		{url, folder, sqlstore.ErrExists},
		{url, filepath.Join(folder, "none", "x"), sqlstore.ErrFolder},
		{"sqlite:" + folder + "/none.db", filepath.Join(folder, "x"), os.ErrNotExist},
		{"sqlite:" + damaged, filepath.Join(folder, "x"), nil},
	} {
		_, err := sqlstore.Backup(t.Context(), test.url, test.dest)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Backup(%s, %s) = %v, want %v", test.url, test.dest, err, test.want)
		}
	}
	if text, err := os.ReadFile(taken); err != nil || string(text) != "mine" {
		t.Errorf("the file that was there has %q, %v, want it untouched", text, err)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 2 {
		t.Errorf("the folder has %v, %v, want nothing more than before", files, err)
	}
}
