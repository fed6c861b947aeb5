package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

// rowsPerStatement is how many rows one statement has: enough to spread its cost, few
// enough for every limit on parameters.
const rowsPerStatement = 256

// bind writes a statement's parameters in the database's form: "$1" for PostgreSQL, and
// "?" for SQLite, where looking up "$1" by name takes time that is quadratic in their
// number. Every "?" in a statement must be a parameter.
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

// values returns the list of a VALUES clause, "(?, ?), (?, ?)", with a column for each of
// types. The first row states the types: PostgreSQL cannot infer them in a WITH clause if a
// column has only nulls.
func values(rows int, types ...string) string {
	first := "(CAST(? AS " + strings.Join(types, "), CAST(? AS ") + "))"
	other := ", (?" + strings.Repeat(", ?", len(types)-1) + ")"
	return first + strings.Repeat(other, rows-1)
}

// rounds splits items so that no key occurs twice in a round, and the items of a key stay
// in order. This is because one statement cannot change a row twice.
func rounds[T any, K comparable](items []T, key func(T) K) [][]T {
	var split [][]T
	seen := make(map[K]int, len(items)) // the number of items so far, by key
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

// A where is a WHERE clause with its parameters. The zero where has no conditions.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, values ...any) {
	w.conditions, w.args = append(w.conditions, condition), append(w.args, values...)
}

// oneOf adds the condition that a column is one of some values, if there are any.
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

// A transaction runs statements with "?" as parameters.
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

// statement returns the prepared statement of a text; nil: there is none.
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

// readTimeout is how long a read waits for each row. Without it a read on a dead connection
// would hang for many minutes.
const readTimeout = 30 * time.Second

var errSilent = errors.New("the database has not answered for too long")

// each calls f for every row of a query until f returns an error.
func (db *DB) each(ctx context.Context, from querier, f func(scan scanner) error, query string, args ...any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(db.readTimeout, func() { cancel(errSilent) })
	defer timer.Stop()
	rows, err := from.QueryContext(ctx, db.bind(query), args...)
	err = eachOf(rows, err, func(scan scanner) error {
		timer.Stop() // the time of f does not count
		defer timer.Reset(db.readTimeout)
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

// read reads the only row of a query; [sql.ErrNoRows] if there is none.
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

// A scanner is the Scan method of a row.
type scanner func(dest ...any) error

// micros returns the stored form of a time; null for the zero time.
func micros(t time.Time) sql.Null[int64] {
	return sql.Null[int64]{V: t.UnixMicro(), Valid: !t.IsZero()}
}

// fromMicros returns a stored time, in UTC.
func fromMicros(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.V).UTC()
}
