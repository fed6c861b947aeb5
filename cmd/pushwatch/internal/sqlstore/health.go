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
	// fault stays unnoticed if no write meets it.
	checkEvery = 3 * time.Second

	// calmAfter is how long after the last refused write a successful one ends the
	// failure. Small writes may succeed between larger ones that fail.
	calmAfter = 5 * time.Second

	// roomNeeded is how many bytes a full disk must have free before it is used again:
	// enough for a write of many rows.
	roomNeeded = 256 << 10
)

// ErrReplaced means that the file of a SQLite database was removed or replaced while it
// was open. Nothing more is written, because it would be lost with the open file.
var ErrReplaced = errors.New("the database file was removed or replaced")

// A health records whether the database accepts writes. Every write reports its outcome,
// and [DB.Monitor] the results of its checks.
type health struct {
	log *zap.Logger

	mu        sync.Mutex
	failing   loop.Condition
	cause     error     // of the newest failure
	failedAt  time.Time // of the newest failure
	succeeded time.Time // when a write last succeeded
}

// record records the outcome of a write. It ignores errors that say nothing about the
// database, such as a conflict.
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

// hintFor returns what a person can do about an error for which [refusesWrites] holds.
func hintFor(err error) string {
	if errors.Is(err, ErrReplaced) {
		return "stop pushwatch, put the file back or restore a backup, and start it again: data saved since the file was removed is in the open file only, on Linux under /proc/PID/fd"
	}
	return "check the disk's free space and whether it is read-only, or PostgreSQL: observations are kept, or made again, and saved once writes succeed"
}

// Health returns an error while the database refuses writes.
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

// Monitor checks the database until ctx ends, and then returns nil. It notices a removed
// file or a read-only server even if nothing is being written, and it notices when the
// database accepts writes again.
func (db *DB) Monitor(ctx context.Context) error {
	for loop.Sleep(ctx, checkEvery) {
		if err := db.check(ctx); err != nil && ctx.Err() == nil {
			db.health.record(err)
		}
	}
	return nil
}

// check returns an error if the database would refuse a write now. It makes a write of its
// own only if nothing else shows that.
func (db *DB) check(ctx context.Context) error {
	if err := db.present(); err != nil {
		return err
	}
	db.health.mu.Lock()
	failing, idle := !db.health.failing.Since().IsZero(), time.Since(db.health.succeeded)
	db.health.mu.Unlock()
	if !failing && (!db.postgres || idle < checkEvery) {
		return nil // the next write to the file shows it
	}
	if failing && !db.postgres {
		if err := haveRoom(filepath.Dir(db.path), roomNeeded); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	return db.exec(ctx, `UPDATE accounts SET last_note = last_note WHERE shard = (SELECT MIN(shard) FROM accounts)`)
}

// present returns [ErrReplaced] if the path of a SQLite database no longer leads to the
// open file.
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

// haveRoom returns an error if a file in a folder cannot grow to a size. Writing reserves
// the space, so no sync is needed.
func haveRoom(folder string, bytes int) error {
	f, err := os.CreateTemp(folder, ".pushwatch-room-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, bytes))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
