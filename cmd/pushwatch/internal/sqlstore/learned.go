package sqlstore

import (
	"context"

	"pushwatch/watcher"
)

// Learned implements [watcher.Store].
func (a *Account) Learned(ctx context.Context) ([]byte, error) {
	text, err := one(ctx, a.db, column[[]byte], `SELECT learned FROM accounts WHERE name = ?`, a.name) // nil for null
	return text, wrap(err, "read what account %s has learnt", a.name)
}

// SaveLearned implements [watcher.Store].
func (a *Account) SaveLearned(ctx context.Context, text []byte) error {
	err := a.db.write(ctx, func(tx transaction) error {
		return tx.execOne(ctx, watcher.ErrFenced, `UPDATE accounts SET learned = ? WHERE name = ? AND epoch = ?`, string(text), a.name, a.epoch)
	})
	return wrap(err, "save what account %s has learnt", a.name)
}
