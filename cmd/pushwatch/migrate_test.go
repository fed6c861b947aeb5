package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/sqlstore/storetest"
	"pushwatch/watcher"
)

// TestMigrateKilled kills the copying again and again, wherever it is, and holds
// that it comes to an end with everything.
func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	const tasks = 20_000
	from, to := "sqlite:"+filepath.Join(t.TempDir(), "pushwatch.db"), storetest.Postgres(t)
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: from})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]watcher.Task, tasks)
	for i := range many {
		many[i] = watcher.Task{Key: watcher.Key{SDKAppID: 1400000001, TaskID: fmt.Sprintf("lesson-%d", i)}, Account: "school", RegisteredAt: time.Now()}
	}
	if _, err := db.Register(t.Context(), many, false); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := settingsFile(t, fmt.Sprintf(`
[store]
url = %q
[[accounts]]
name = "school"
secret_id = "AKIDschool"
secret_key = "key"
sdk_app_ids = [1400000001]
`, from))

	done := false
	for kills := 0; !done; kills++ {
		p := launch(t, "migrate", "--config", file, "--to", to)
		if kills < 6 {
			time.AfterFunc(time.Duration(rand.IntN(1500))*time.Millisecond, func() { p.Process.Kill() })
		}
		err := p.Wait()
		done = err == nil
		if kills > 0 && strings.Contains(p.log.String(), "the target is not empty") {
			break // the one before was killed when all was done: what is there is looked at below
		}
		if !done && p.ProcessState.Exited() {
			t.Fatalf("migrate ended by itself: %v\n%s", err, p.log)
		}
		if want := fmt.Sprintf("%d  rows of tasks", tasks); done && !strings.Contains(p.log.String(), want) {
			t.Errorf("after %d kills migrate says\n%s\nwant %q", kills, p.log, want)
		}
	}

	if db, err = sqlstore.Open(t.Context(), sqlstore.Config{URL: to}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got, err := db.Register(t.Context(), many, false)
	if err != nil || len(got) != tasks || slices.ContainsFunc(got, func(x watcher.RegisteredTask) bool { return x.Created }) {
		t.Errorf("of %d tasks that are registered again, %v, some are new", len(got), err)
	}
}
