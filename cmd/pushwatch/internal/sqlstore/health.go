package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher/loop"
)

const (
	// checkEvery is how often [DB.Monitor] checks the database. It bounds how long a
	// fault stays unknown that no write meets.
	checkEvery = 3 * time.Second

	// calmAfter is how long after the last refused write a successful one ends the
	// failing. Small writes may succeed between larger ones that do not.
	calmAfter = 5 * time.Second

	// roomNeeded is how much a full disk must have free again, in bytes: a write of many
	// rows, not only of one.
	roomNeeded = 256 << 10
)

// ErrReplaced means that the file of a SQLite database was removed or replaced while it
// was open. Nothing more is written: it would be lost with the open file.
var ErrReplaced = errors.New("the database file was removed or replaced")

// A health knows whether the database takes writes. Every write reports its outcome,
// and [DB.Monitor] what it finds out by itself.
type health struct {
	log *zap.Logger

	mu        sync.Mutex
	failing   loop.Condition
	cause     error     // of the newest failure
	failedAt  time.Time // when that was
	succeeded time.Time // when a write last succeeded
}

// record records the outcome of a write. Errors that say nothing of the database, such
// as a conflict, are no outcome.
func (h *health) record(err error) {
	if err != nil && !refusesWrites(err) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if err != nil {
		h.cause, h.failedAt = err, now
		if h.failing.Begin(now) {
			h.log.Error("database refuses writes", zap.Error(err), zap.String("hint", hintFor(err)))
		}
		return
	}
	h.succeeded = now
	if now.Sub(h.failedAt) < calmAfter {
		return
	}
	if lasted, ended := h.failing.End(now); ended {
		h.log.Info("database accepts writes again", zap.Duration("after", lasted.Round(time.Millisecond)))
	}
}

// hintFor says what a person can do about an error that refusesWrites.
func hintFor(err error) string {
	if errors.Is(err, ErrReplaced) {
		return "stop pushwatch, put the file back or restore a backup, and start it again: what was saved since the file was removed is in the open file only, on Linux under /proc/PID/fd"
	}
	return "look at the disk, its room and whether it is read-only, or at PostgreSQL: what was seen is kept, or seen again, and written when it can be"
}

// Health returns an error while the database refuses writes, whoever found out.
func (db *DB) Health() error {
	h := &db.health
	h.mu.Lock()
	defer h.mu.Unlock()
	since := h.failing.Since()
	if since.IsZero() {
		return nil
	}
	return fmt.Errorf("the database has refused writes for %s: %w", time.Since(since).Round(time.Second), h.cause)
}

// Monitor checks the database until ctx ends, and then returns nil. It finds a removed
// file and a server that has become read-only although nobody writes, and it finds that
// the database takes writes again.
func (db *DB) Monitor(ctx context.Context) error {
	for loop.Sleep(ctx, checkEvery) {
		if err := db.check(ctx); err != nil && ctx.Err() == nil {
			db.health.record(err)
		}
	}
	return nil
}

// check returns an error where the database would refuse a write now. It writes only
// where nothing else shows that.
func (db *DB) check(ctx context.Context) error {
	if err := db.present(); err != nil {
		return err
	}
	db.health.mu.Lock()
	failing, idle := !db.health.failing.Since().IsZero(), time.Since(db.health.succeeded)
	db.health.mu.Unlock()
	if !failing && (!db.postgres || idle < checkEvery) {
		return nil // who next writes to the file finds out
	}
	if failing && !db.postgres {
		if err := haveRoom(filepath.Dir(db.path), roomNeeded); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	return db.write(ctx, func(tx transaction) error {
		_, err := tx.exec(ctx, `UPDATE accounts SET last_note = last_note WHERE shard = (SELECT MIN(shard) FROM accounts)`)
		return err
	})
}

// present returns [ErrReplaced] where the path of a SQLite database no longer leads to
// the file that is open.
func (db *DB) present() error {
	if db.postgres {
		return nil
	}
	now, err := os.Stat(db.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %s does not exist", ErrReplaced, db.path)
	case err != nil:
		return err
	case !os.SameFile(now, db.file):
		return fmt.Errorf("%w: %s is another file", ErrReplaced, db.path)
	}
	return nil
}

// haveRoom returns an error where a file in a folder cannot grow to a size. Space is
// reserved as soon as it is written, so nothing need be synced.
func haveRoom(folder string, bytes int) error {
	f, err := os.CreateTemp(folder, ".pushwatch-room-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, bytes))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
