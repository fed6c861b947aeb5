package sqlstore

import (
	"context"

	"pushwatch/watcher"
)

// Amend implements [watcher.Registry].
func (db *DB) Amend(ctx context.Context, t watcher.Task) error {
	err := db.writeForOthers(ctx, func(tx transaction) error {
		row, err := tx.lockAccount(ctx, t.Account, 0) // before the task's row, as in all transactions
		if err != nil {
			return err
		}
		before, err := tx.labelsOf(ctx, []watcher.Key{t.Key})
		if err != nil {
			return err
		}
		err = tx.execOne(ctx, watcher.ErrConflict, `UPDATE tasks SET labels = ?, expected_stop_at = ?, memory = ?, version = version + 1
			WHERE sdk_app_id = ? AND task_id = ? AND version = ? AND removed_at IS NULL`,
			encodeLabels(t.Labels), moment(t.ExpectedStopAt), encodeJSON(t.Memory), t.SDKAppID, t.TaskID, t.Version-1)
		if err != nil {
			return err
		}
		if err := tx.dropLabels(ctx, "", before); err != nil {
			return err
		}
		if err := tx.insertLabels(ctx, t); err != nil {
			return err
		}
		return tx.note(ctx, row, false, t.Key)
	})
	return wrap(err, "amend task %s", t.Key)
}
