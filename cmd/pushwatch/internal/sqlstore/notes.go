package sqlstore

import (
	"context"
	"fmt"

	"pushwatch/watcher"
)

// notesPage is how many notes an owner reads at a time.
const notesPage = 1000

// note writes a note to an account's owner that tasks have changed or, if urgent, are to
// be polled now. The account's row must be locked. If this process is the owner nothing is
// written: the caller notifies it directly.
func (tx transaction) note(ctx context.Context, row accountRow, urgent bool, keys ...watcher.Key) error {
	if !tx.db.postgres || tx.db.owns(row) || len(keys) == 0 {
		return nil
	}
	var number int64
	err := tx.queryRow(ctx, `UPDATE accounts SET last_note = last_note + ? WHERE shard = ? RETURNING last_note`, len(keys), row.shard).Scan(&number)
	if err != nil {
		return err
	}
	flag := 0
	if urgent {
		flag = 1
	}
	var rows [][]any
	for i, k := range keys {
		rows = append(rows, []any{row.shard, number - int64(len(keys)-1-i), k.SDKAppID, k.TaskID, flag})
	}
	_, err = tx.execRows(ctx, `INSERT INTO notes (shard, number, sdk_app_id, task_id, urgent) VALUES %s`, rows)
	return err
}

// noteAll writes notes about changed tasks, by account. The accounts' rows must be locked.
func (tx transaction) noteAll(ctx context.Context, accounts map[string]accountRow, changed map[string][]watcher.Key) error {
	for name, keys := range changed {
		if err := tx.note(ctx, accounts[name], false, keys...); err != nil {
			return err
		}
	}
	return nil
}

// Hurry implements [watcher.Registry].
func (db *DB) Hurry(ctx context.Context, t watcher.Task) error {
	err := db.writeForOthers(ctx, func(tx transaction) error {
		row, err := tx.lockAccount(ctx, t.Account, 0)
		if err != nil {
			return err
		}
		return tx.note(ctx, row, true, t.Key)
	})
	return wrap(err, "hurry task %s", t.Key)
}

// notes reads the oldest notes to the account's owner, with the current state of their
// tasks, and returns the number of the last one.
func (a *Account) notes(ctx context.Context) (notes []watcher.Note, last int64, err error) {
	notes, err = list(ctx, a.db, func(scan scanner) (n watcher.Note, err error) {
		err = scan(&last, &n.Key.SDKAppID, &n.Key.TaskID, &n.Urgent)
		return n, err
	}, `SELECT number, sdk_app_id, task_id, urgent FROM notes WHERE shard = ? ORDER BY number LIMIT ?`, a.shard, notesPage)
	if err != nil || len(notes) == 0 {
		return nil, 0, err
	}
	found, hidden, err := a.db.readTasks(ctx, a.db, rowsOf(notes, func(n watcher.Note) []any { return keyRow(n.Key) }))
	if err != nil {
		return nil, 0, err
	}
	for i := range notes {
		if t, ok := found[notes[i].Key]; ok && !hidden[t.Key] && t.Account == a.name {
			notes[i].Task = &t
		}
	}
	return notes, last, nil
}

// forgetNotes deletes the notes up to a number, unless the account has another owner, which
// may not have read them.
func (a *Account) forgetNotes(ctx context.Context, last int64) error {
	_, err := a.db.writer.ExecContext(ctx, a.db.bind(`DELETE FROM notes WHERE shard = ? AND number <= ?
		AND EXISTS (SELECT 1 FROM accounts WHERE shard = ? AND epoch = ?)`), a.shard, last, a.shard, a.epoch)
	return err
}

// followOthers passes on what other processes wrote: deliveries and notes to the owners in
// this process, new events to waiting readers, and changes of notifiers.
func (r *Replica) followOthers(ctx context.Context, s *snapshot) error {
	var events int64
	for _, a := range s.accounts {
		events += a.lastEvent
		r.mu.Lock()
		o := r.owned[a.name]
		r.mu.Unlock()
		if o == nil {
			continue
		}
		if o.account.published.Load() < a.lastDelivery {
			o.account.wake.Notify()
		}
		if o.account.lastNote < a.lastNote {
			if err := r.readNotes(ctx, o.account, a.lastNote); err != nil {
				return err
			}
		}
	}
	if events != r.events {
		r.events = events
		r.db.notifyChanged()
	}
	var notifiers int64
	err := r.db.heartbeats.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM notifiers`).Scan(&notifiers)
	if err != nil || notifiers == r.notifiers {
		return err
	}
	if err := r.cfg.RefreshNotifiers(ctx); err != nil {
		return err
	}
	r.notifiers = notifiers
	return nil
}

// readNotes passes the notes of an account, at least up to a number, to its owner.
func (r *Replica) readNotes(ctx context.Context, a *Account, newest int64) error {
	for a.lastNote < newest {
		notes, last, err := a.notes(ctx)
		if err != nil {
			return fmt.Errorf("read notes to account %s: %w", a.name, err)
		}
		if len(notes) == 0 { // the previous owner read them
			a.lastNote = newest
			return nil
		}
		if !r.cfg.Notice(a.name, notes) {
			return nil // the owner is only starting: they are read at the next look
		}
		a.lastNote = last
		if err := a.forgetNotes(ctx, last); err != nil {
			return fmt.Errorf("drop notes to account %s: %w", a.name, err)
		}
	}
	return nil
}
