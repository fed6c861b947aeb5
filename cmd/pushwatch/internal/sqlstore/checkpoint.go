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

// checkpoints are the poll times that were read from checkpoints, by account.
type checkpoints map[string]watcher.PollTimes

// apply adds to a task as it stands in its row what the checkpoint of its account says, which
// it reads if that is not in read yet.
func (read checkpoints) apply(ctx context.Context, db *DB, from source, t *watcher.Task) (err error) {
	if t.State.Ended() {
		return nil
	}
	times, ok := read[t.Account]
	if !ok {
		if times, err = db.pollTimes(ctx, from, t.Account); err != nil {
			return err
		}
		read[t.Account] = times
	}
	times.Apply(t)
	return nil
}

// addPollTimes adds the times of checkpoints to tasks. Those of accounts that this
// process owns are left as they are: their engine knows them better.
func (db *DB) addPollTimes(ctx context.Context, tasks []watcher.Task) error {
	read := make(checkpoints)
	for i := range tasks {
		if db.ownsNamed(tasks[i].Account) {
			continue
		}
		if err := read.apply(ctx, db, db, &tasks[i]); err != nil {
			return err
		}
	}
	return nil
}
