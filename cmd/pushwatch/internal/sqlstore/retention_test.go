package sqlstore

import (
	"context"
	"sync"
	"testing"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// brings them back: they stay.
func TestSweepWaits(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *DB{"sqlite": openTest, "postgres": openPostgresTest} {
		for what, c := range map[string]struct {
			row   string
			bring func(context.Context, transaction) error
			table string
		}{
			"replay": {
				`INSERT INTO deliveries (shard, id, position, event, notifier, state, attempts, last_error, log, created_at, settled_at)
					VALUES (1, 1, 1, 1, 'n', 'delivered', 1, '', '', 1, 1)`,
				func(ctx context.Context, tx transaction) error {
					_, _, err := tx.replay(ctx, 1, notify.Selection{ID: notify.DeliveryID{Shard: 1, ID: 1}}, 0)
					return err
				}, "deliveries",
			},
			"reopen": {
				`INSERT INTO tasks (sdk_app_id, task_id, account, state, labels, registered_at, ended_at, version, sequence, memory)
					VALUES (1, 'a', 'school', 'stopped', '{}', 1, 1, 1, 1, '{}')`,
				func(ctx context.Context, tx transaction) error {
					asked := watcher.Task{Key: watcher.Key{SDKAppID: 1, TaskID: "a"}, Account: "school", RegisteredAt: time.Now()}
					return tx.insertTasks(ctx, []watcher.Task{newWatching(asked, watcher.Task{Version: 1})})
				}, "tasks",
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				db := open(t)
				ownTest(t, db)
				if _, err := db.writer.Exec(c.row); err != nil {
					t.Fatal(err)
				}
				var sweeper sync.WaitGroup
				err := db.write(t.Context(), func(tx transaction) error {
					if err := c.bring(t.Context(), tx); err != nil {
						return err
					}
					sweeper.Go(func() {
						if n, err := db.Sweep(t.Context(), time.Now(), 10); n != 0 || err != nil {
							t.Errorf("Sweep() = %d, %v, want 0", n, err)
						}
					})
					return awaitWaiting(db)
				})
				if err != nil {
					t.Fatal(err)
				}
				sweeper.Wait()
				var left int
				if err := db.reader.QueryRow(`SELECT COUNT(*) FROM ` + c.table).Scan(&left); err != nil || left != 1 {
					t.Errorf("%d %s are left, %v, want 1", left, c.table, err)
				}
			})
		}
	}
}

// without its waiting for the writer, or having others wait.
func TestSweepLooks(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	err := db.write(t.Context(), func(tx transaction) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err := db.Sweep(ctx, time.Now(), 10)
		if n != 0 {
			t.Errorf("Sweep() of nothing = %d, want 0", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// awaitWaiting returns when somebody waits for what a transaction has locked.
func awaitWaiting(db *DB) error {
	for {
		waiting := db.writer.Stats().WaitCount // for the one connection
		if db.postgres {
			if err := db.reader.QueryRow(`SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting); err != nil {
				return err
			}
		}
		if waiting > 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}
