package sqlstore

import (
	"context"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// NotifierRecords implements [notify.Archive].
func (db *DB) NotifierRecords(ctx context.Context) ([]notify.NotifierRecord, error) {
	records, err := list(ctx, db, func(scan scanner) (s notify.NotifierRecord, err error) {
		err = scan(&s.Notifier, &s.Version, &s.State, (*moment)(&s.PausedUntil), (*moment)(&s.DownSince), (*moment)(&s.NextProbeAt), &s.Reason, (*moment)(&s.ChangedAt))
		return s, err
	}, `SELECT name, version, state, paused_until, down_since, next_probe_at, reason, changed_at FROM notifiers ORDER BY name`)
	return records, wrap(err, "read notifiers")
}

// insertNotifier writes a notifier's row. The caller appends how to set the version and
// state of an existing row.
const insertNotifier = `INSERT INTO notifiers (name, version, state, paused_until, down_since, next_probe_at, reason, changed_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until, down_since = excluded.down_since,
		next_probe_at = excluded.next_probe_at, reason = excluded.reason, changed_at = excluded.changed_at, `

// SaveNotifier implements [notify.Archive].
func (db *DB) SaveNotifier(ctx context.Context, s notify.NotifierRecord, before int64) error {
	err := db.writeForOthers(ctx, func(tx transaction) error {
		return tx.execOne(ctx, watcher.ErrConflict, insertNotifier+`version = excluded.version, state = excluded.state
			WHERE notifiers.version = CAST(? AS BIGINT)`, append(encodeNotifier(s), before)...)
	})
	return wrap(err, "save notifier %s", s.Notifier)
}

// saveNotifier writes what an attempt showed: that a notifier is gone, down or up again,
// or asks for a pause. If an operator paused it in the meantime, it stays paused.
func (tx transaction) saveNotifier(ctx context.Context, s notify.NotifierRecord) error {
	_, err := tx.exec(ctx, insertNotifier+`
			version = CASE WHEN notifiers.version < excluded.version THEN excluded.version ELSE notifiers.version + 1 END,
			state = CASE WHEN excluded.state = 'gone' THEN 'gone' ELSE notifiers.state END
		WHERE notifiers.version < excluded.version OR notifiers.state <> 'gone' AND excluded.state = 'gone'
			OR COALESCE(notifiers.paused_until, 0) < excluded.paused_until`, encodeNotifier(s)...)
	return err
}

// encodeNotifier returns the row of a notifier.
func encodeNotifier(s notify.NotifierRecord) []any {
	return []any{s.Notifier, s.Version, string(s.State), moment(s.PausedUntil), moment(s.DownSince), moment(s.NextProbeAt), validText(s.Reason), moment(s.ChangedAt)}
}
