package sqlstore

import (
	"context"
	"fmt"
	"testing"
)

// TestPrepared runs a statement of each kind again and again, beside more texts than
// are kept, and beside others that write: what is prepared answers as what is not.
func TestPrepared(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	run := func(ctx context.Context, i int) error {
		return db.write(ctx, func(tx transaction) error {
			if _, err := tx.exec(ctx, `INSERT INTO notifiers (name, version, state, reason, changed_at) VALUES (?, ?, 'active', '', 0)`, fmt.Sprint(i), i); err != nil {
				return err
			}
			var version int
			if err := tx.queryRow(ctx, `SELECT version FROM notifiers WHERE name = ?`, fmt.Sprint(i)).Scan(&version); err != nil || version != i {
				return fmt.Errorf("row() = %d, %v, want %d", version, err, i)
			}
			n := 0
			err := tx.each(ctx, func(scan scanner) error {
				n++
				return scan(&version)
			}, `SELECT version FROM notifiers WHERE version = ?`, i)
			if err != nil || n != 1 || version != i {
				return fmt.Errorf("each() = %d times, last %d, %v, want %d once", n, version, err, i)
			}
			_, err = tx.exec(ctx, fmt.Sprintf(`UPDATE notifiers SET version = %d WHERE name = ?`, i), fmt.Sprint(i))
			return err
		})
	}
	const writers = 4
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := range preparedMost {
				if err := run(t.Context(), 1+w*preparedMost+i); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	ready := 0
	for _, s := range db.statements.all {
		if s != nil {
			ready++
		}
	}
	if len(db.statements.all) != preparedMost || ready != preparedMost {
		t.Errorf("%d statements are kept, and %d of them prepared, want %d", len(db.statements.all), ready, preparedMost)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(cancelled, 0); err == nil {
		t.Error("a prepared statement ran in spite of its context")
	}
}
