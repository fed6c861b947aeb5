package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"pushwatch/watcher"
)

// Learned implements [watcher.Store].
func (a *Account) Learned(ctx context.Context) ([]byte, error) {
	var text sql.Null[string]
	err := a.db.read(ctx, func(scan scanner) error { return scan(&text) }, `SELECT learned FROM accounts WHERE name = ?`, a.name)
	if err != nil {
		return nil, fmt.Errorf("read what account %s has learnt: %w", a.name, err)
	}
	if !text.Valid {
		return nil, nil
	}
	return []byte(text.V), nil
}

// SaveLearned implements [watcher.Store].
func (a *Account) SaveLearned(ctx context.Context, text []byte) error {
	err := a.db.write(ctx, func(tx transaction) error {
		n, err := tx.exec(ctx, `UPDATE accounts SET learned = ? WHERE name = ? AND epoch = ?`, string(text), a.name, a.epoch)
		if err == nil && n == 0 {
			err = watcher.ErrFenced
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save what account %s has learnt: %w", a.name, err)
	}
	return nil
}
