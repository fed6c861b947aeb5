package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"pushwatch/watcher"
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

// typesOf returns the types of the columns of a row: numbers and times, or texts.
func typesOf(row []any) []string {
	types := slices.Repeat([]string{"BIGINT"}, len(row))
	for i, v := range row {
		switch v.(type) {
		case string, sql.Null[string]:
			types[i] = "TEXT"
		}
	}
	return types
}

// chunks splits rows for statements of rowsPerStatement at most. It yields the statement of
// each, with its VALUES clause in place of "%s", and its parameters, args the last of them.
func chunks(statement string, rows [][]any, args []any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for chunk := range slices.Chunk(rows, rowsPerStatement) {
			query := fmt.Sprintf(statement, values(len(chunk), typesOf(chunk[0])...))
			if !yield(query, slices.Concat(append(chunk, args)...)) {
				return
			}
		}
	}
}

// rowsOf returns a row for each item.
func rowsOf[T any](items []T, row func(T) []any) [][]any {
	rows := make([][]any, len(items))
	for i, item := range items {
		rows[i] = row(item)
	}
	return rows
}

// keyRow returns the key of a task as a row.
func keyRow(k watcher.Key) []any { return []any{k.SDKAppID, k.TaskID} }

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

// when adds a condition if asked is true.
func (w *where) when(asked bool, condition string, values ...any) {
	if asked {
		w.and(condition, values...)
	}
}

// oneOf adds the condition that a column is one of some values, if there are any.
func oneOf[T ~string](w *where, column string, values []T) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	if len(args) > 0 {
		w.and(column+` IN (?`+strings.Repeat(", ?", len(args)-1)+`)`, args...)
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return ` WHERE ` + strings.Join(w.conditions, ` AND `)
}

// A transaction runs statements with "?" as parameters.
type transaction struct {
	sql *sql.Tx
	db  *DB
}

func (tx transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if s := tx.db.statements.get(ctx, tx.sql, query); s != nil {
		result, err = s.ExecContext(ctx, args...)
	} else {
		result, err = tx.sql.ExecContext(ctx, tx.db.bind(query), args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// execOne runs a statement that changes a row, and returns otherwise if there is none.
func (tx transaction) execOne(ctx context.Context, otherwise error, query string, args ...any) error {
	n, err := tx.exec(ctx, query, args...)
	if err == nil && n == 0 {
		err = otherwise
	}
	return err
}

func (tx transaction) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if s := tx.db.statements.get(ctx, tx.sql, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return tx.sql.QueryRowContext(ctx, tx.db.bind(query), args...)
}

// eachOfRows calls f for every row of the results of a query for rows, as [chunks] splits them.
func eachOfRows(ctx context.Context, from source, f func(scan scanner) error, query string, rows [][]any) error {
	for query, args := range chunks(query, rows, nil) {
		if err := from.each(ctx, f, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// execRows runs a statement for rows, as [chunks] splits them, and returns how many rows it
// changed in all.
func (tx transaction) execRows(ctx context.Context, statement string, rows [][]any, args ...any) (changed int, err error) {
	for query, args := range chunks(statement, rows, args) {
		n, err := tx.exec(ctx, query, args...)
		if err != nil {
			return 0, err
		}
		changed += int(n)
	}
	return changed, nil
}

func (tx transaction) each(ctx context.Context, f func(scan scanner) error, query string, args ...any) error {
	if s := tx.db.statements.get(ctx, tx.sql, query); s != nil {
		rows, err := s.QueryContext(ctx, args...)
		return eachOf(rows, err, f)
	}
	return pool{tx.db, tx.sql}.each(ctx, f, query, args...)
}

// wrap returns an error that says what failed, with err as its cause; nil for nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
