package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

// rowsPerStatement is how many rows one statement carries: enough to spread its
// cost, few enough to stay below every limit on parameters.
const rowsPerStatement = 256

// bind writes a statement's parameters as the database wants them: "?" for
// SQLite, where "$1" is looked up by name in time that grows with the square of
// their number, and "$1" for PostgreSQL. No statement has a "?" that is none.
func (db *DB) bind(query string) string {
	if !db.postgres {
		return query
	}
	var b strings.Builder
	b.Grow(2 * len(query))
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// values is the list of a VALUES clause: "(?, ?), (?, ?)", a row for each of
// rows, a column for each of types. The first row says the types, which
// PostgreSQL cannot tell where the list stands in a WITH clause and a column
// has nothing but nulls.
func values(rows int, types ...string) string {
	first := "(CAST(? AS " + strings.Join(types, "), CAST(? AS ") + "))"
	other := ", (?" + strings.Repeat(", ?", len(types)-1) + ")"
	return first + strings.Repeat(other, rows-1)
}

// rounds splits items so that no key comes twice in a round, and the items of one
// key stay in order: one statement cannot change one row twice.
func rounds[T any, K comparable](items []T, key func(T) K) [][]T {
	var split [][]T
	seen := make(map[K]int, len(items)) // how often the key came
	for _, item := range items {
		k := key(item)
		if seen[k] == len(split) {
			split = append(split, nil)
		}
		split[seen[k]] = append(split[seen[k]], item)
		seen[k]++
	}
	return split
}

// A where is what rows have to be like, with the values that it asks for. The zero
// where asks for nothing.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, values ...any) {
	w.conditions, w.args = append(w.conditions, condition), append(w.args, values...)
}

// oneOf asks for a column to be one of some values, where there are any.
func oneOf[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	w.and(column+` IN (?`+strings.Repeat(", ?", len(args)-1)+`)`, args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return ` WHERE ` + w.join()
}

func (w *where) join() string { return strings.Join(w.conditions, ` AND `) }

// A transaction runs statements that are written with "?".
type transaction struct {
	sql *sql.Tx
	db  *DB
}

func (tx transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if s := tx.statement(ctx, query); s != nil {
		result, err = s.ExecContext(ctx, args...)
	} else {
		result, err = tx.sql.ExecContext(ctx, tx.db.bind(query), args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (tx transaction) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if s := tx.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return tx.sql.QueryRowContext(ctx, tx.db.bind(query), args...)
}

func (tx transaction) each(ctx context.Context, f func(scan scanner) error, query string, args ...any) error {
	if s := tx.statement(ctx, query); s != nil {
		rows, err := s.QueryContext(ctx, args...)
		return eachOf(rows, err, f)
	}
	return tx.db.each(ctx, tx.sql, f, query, args...)
}

// statement returns the prepared statement of a text, nil where there is none.
func (tx transaction) statement(ctx context.Context, query string) *sql.Stmt {
	if tx.db.postgres {
		return nil
	}
	return tx.db.statements.get(ctx, tx.sql, query)
}

// A querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readTimeout is how long a read waits for its first row, and for each next one. Without
// it a read on a connection that died unnoticed would hang for many minutes.
const readTimeout = 30 * time.Second

var errSilent = errors.New("the database has not answered for too long")

// each calls f for every row of a query, until f returns an error.
func (db *DB) each(ctx context.Context, from querier, f func(scan scanner) error, query string, args ...any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(db.readTimeout, func() { cancel(errSilent) })
	defer timer.Stop()
	rows, err := from.QueryContext(ctx, db.bind(query), args...)
	err = eachOf(rows, err, func(scan scanner) error {
		timer.Stop() // f may take as long as it likes
		defer timer.Reset(db.readTimeout)
		return f(scan)
	})
	if err != nil && context.Cause(ctx) == errSilent {
		err = errors.Join(errSilent, err)
	}
	return err
}

// eachOf is each of what a query returned.
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

// read reads the one row of a query; [sql.ErrNoRows] where there is none.
func (db *DB) read(ctx context.Context, f func(scan scanner) error, query string, args ...any) error {
	found := false
	err := db.each(ctx, db.reader, func(scan scanner) error {
		found = true
		return f(scan)
	}, query, args...)
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}

// A scanner is the Scan of a row.
type scanner func(dest ...any) error

// micros is t as it is stored; null for the zero time.
func micros(t time.Time) sql.Null[int64] {
	return sql.Null[int64]{V: t.UnixMicro(), Valid: !t.IsZero()}
}

// fromMicros is the time that was stored, in UTC.
func fromMicros(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.V).UTC()
}
