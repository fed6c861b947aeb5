package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A source runs queries: a [DB] on its readers, a [transaction], or a [pool].
type source interface {
	// each calls f for every row of a query until f returns an error.
	each(ctx context.Context, f func(scan scanner) error, query string, args ...any) error
}

// readTimeout is how long a read waits for each row. Without it a read on a dead connection
// would hang for many minutes.
const readTimeout = 30 * time.Second

var errSilent = errors.New("the database has not answered for too long")

// A pool is some connections of a database, or a transaction.
type pool struct {
	db  *DB
	sql interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (db *DB) each(ctx context.Context, f func(scan scanner) error, query string, args ...any) error {
	return pool{db, db.reader}.each(ctx, f, query, args...)
}

func (p pool) each(ctx context.Context, f func(scan scanner) error, query string, args ...any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(p.db.readTimeout, func() { cancel(errSilent) })
	defer timer.Stop()
	rows, err := p.sql.QueryContext(ctx, p.db.bind(query), args...)
	err = eachOf(rows, err, func(scan scanner) error {
		timer.Stop() // the time of f does not count
		defer timer.Reset(p.db.readTimeout)
		return f(scan)
	})
	if err != nil && context.Cause(ctx) == errSilent {
		err = errors.Join(errSilent, err)
	}
	return err
}

// eachOf calls f for every row of a query's result.
func eachOf(rows *sql.Rows, err error, f func(scan scanner) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// A scanner is the Scan method of a row.
type scanner func(dest ...any) error

// and returns a scanner of rows that have columns for more after those that it is called for.
func (scan scanner) and(more ...any) scanner {
	return func(dest ...any) error { return scan(append(dest, more...)...) }
}

// list returns what decode makes of every row of a query.
func list[T any](ctx context.Context, from source, decode func(scan scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := from.each(ctx, func(scan scanner) error {
		v, err := decode(scan)
		all = append(all, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// one returns what decode makes of the only row of a query; [sql.ErrNoRows] if there is none.
func one[T any](ctx context.Context, from source, decode func(scan scanner) (T, error), query string, args ...any) (only T, err error) {
	all, err := list(ctx, from, decode, query, args...)
	if err != nil {
		return only, err
	}
	if len(all) == 0 {
		return only, sql.ErrNoRows
	}
	return all[0], nil
}

// column decodes a row of one column.
func column[T any](scan scanner) (v T, err error) {
	err = scan(&v)
	return v, err
}

// pairs returns the rows of a query of two columns, the first of which is unique.
func pairs[K comparable, V any](ctx context.Context, from source, query string, args ...any) (map[K]V, error) {
	all := make(map[K]V)
	err := from.each(ctx, func(scan scanner) error {
		var k K
		var v V
		err := scan(&k, &v)
		all[k] = v
		return err
	}, query, args...)
	return all, err
}

// A moment is a time as it is stored: in microseconds, null for the zero time.
type moment time.Time

// Value implements [driver.Valuer].
func (m moment) Value() (driver.Value, error) {
	if time.Time(m).IsZero() {
		return nil, nil
	}
	return time.Time(m).UnixMicro(), nil
}

// Scan implements [sql.Scanner]. The time is in UTC.
func (m *moment) Scan(stored any) error {
	switch v := stored.(type) {
	case nil:
		*m = moment{}
	case int64:
		*m = moment(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("a time of type %T", v)
	}
	return nil
}

// rounded returns a time as it is read after it was stored.
func rounded(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// A jsonText decodes stored JSON into what it points to, which null and no text leave
// unchanged.
type jsonText struct{ into any }

// Scan implements [sql.Scanner].
func (j jsonText) Scan(stored any) error {
	switch v := stored.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		return json.Unmarshal([]byte(v), j.into)
	default:
		return fmt.Errorf("JSON of type %T", v)
	}
}
