package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"pushwatch/notify"
)

// Standings implements [notify.Archive].
func (db *DB) Standings(ctx context.Context) ([]notify.Standing, error) {
	var list []notify.Standing
	err := db.each(ctx, db.reader, func(scan scanner) error {
		var s notify.Standing
		var until, changed sql.Null[int64]
		err := scan(&s.Notifier, &s.Version, &s.State, &until, &s.Reason, &changed)
		s.PausedUntil, s.ChangedAt = fromMicros(until), fromMicros(changed)
		list = append(list, s)
		return err
	}, `SELECT name, version, state, paused_until, reason, changed_at FROM notifiers ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read standings of notifiers: %w", err)
	}
	return list, nil
}

// SaveStanding implements [notify.Archive].
func (db *DB) SaveStanding(ctx context.Context, s notify.Standing) error {
	err := db.write(ctx, func(tx transaction) error { return tx.saveStanding(ctx, s) })
	if err != nil {
		return fmt.Errorf("save standing of notifier %s: %w", s.Notifier, err)
	}
	db.hint()
	return nil
}

// saveStanding writes a standing over an older one.
func (tx transaction) saveStanding(ctx context.Context, s notify.Standing) error {
	_, err := tx.exec(ctx, `INSERT INTO notifiers (name, version, state, paused_until, reason, changed_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET version = excluded.version, state = excluded.state,
			paused_until = excluded.paused_until, reason = excluded.reason, changed_at = excluded.changed_at
		WHERE notifiers.version < excluded.version`,
		s.Notifier, s.Version, string(s.State), micros(s.PausedUntil), storable(s.Reason), micros(s.ChangedAt))
	return err
}
