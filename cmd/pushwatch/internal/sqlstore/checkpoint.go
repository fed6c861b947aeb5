package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// SaveCheckpoint implements [watcher.Store].
func (a *Account) SaveCheckpoint(ctx context.Context, c *watcher.Checkpoint) error {
	return wrap(a.submit(ctx, &request{checkpoint: c.Text()}), "save checkpoint of account %s", a.name)
}

// saveCheckpoint writes the last checkpoint of a group.
func (tx transaction) saveCheckpoint(ctx context.Context, shard int64, group []*request) error {
	text := ""
	for _, r := range group {
		if r.checkpoint != "" {
			text = r.checkpoint
		}
	}
	if text == "" {
		return nil
	}
	_, err := tx.exec(ctx, `INSERT INTO checkpoints (shard, times) VALUES (?, ?)
		ON CONFLICT (shard) DO UPDATE SET times = excluded.times`, shard, text)
	return err
}

// pollTimes reads the checkpoint of an account. One that cannot be read is as none: then
// tasks are polled a little too early.
func (db *DB) pollTimes(ctx context.Context, from source, account string) (watcher.PollTimes, error) {
	text, err := one(ctx, from, column[string],
		`SELECT times FROM checkpoints WHERE shard = (SELECT shard FROM accounts WHERE name = ?)`, account)
	if errors.Is(err, sql.ErrNoRows) {
		return watcher.PollTimes{}, nil
	}
	if err != nil {
		return watcher.PollTimes{}, err
	}
	times, err := watcher.ReadPollTimes(text)
	if err != nil {
		db.health.log.Warn("checkpoint ignored", zap.String("account", account), zap.Error(err),
			zap.String("hint", "the tasks are polled as if they had not been since they last changed"))
	}
	return times, nil
}

// A checkpointReader adds the times of checkpoints to tasks. It reads each account's
// once.
type checkpointReader struct {
	db   *DB
	from source
	read map[string]watcher.PollTimes // by account
}

func (db *DB) checkpointReader(from source) *checkpointReader {
	return &checkpointReader{db, from, make(map[string]watcher.PollTimes)}
}

// apply adds to a task as it stands in its row what the checkpoint of its account says.
func (r *checkpointReader) apply(ctx context.Context, t *watcher.Task) error {
	if t.State.Ended() {
		return nil
	}
	times, ok := r.read[t.Account]
	if !ok {
		var err error
		if times, err = r.db.pollTimes(ctx, r.from, t.Account); err != nil {
			return err
		}
		r.read[t.Account] = times
	}
	times.Apply(t)
	return nil
}

// addPollTimes adds the times of checkpoints to tasks. Those of accounts that this
// process owns are left as they are: their engine knows them better.
func (db *DB) addPollTimes(ctx context.Context, tasks []watcher.Task) error {
	r := db.checkpointReader(db)
	for i := range tasks {
		if db.ownsNamed(tasks[i].Account) {
			continue
		}
		if err := r.apply(ctx, &tasks[i]); err != nil {
			return err
		}
	}
	return nil
}
