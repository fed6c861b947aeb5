package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A table describes one of pushwatch's tables, as read from the database itself.
type table struct {
	name    string
	columns []string
	types   []string // of the columns, in this database's words
	key     []string // columns of the primary key, in order
}

// transient are the tables that only running processes need. A copy leaves them out: a
// new owner reads the tasks themselves, and needs no notes about them.
var transient = []string{"members", "notes"}

// catalogue lists the tables to copy, by name: all except the databases' own, those of the
// migrations, the transient ones, and the mark of a copy.
func (db *DB) catalogue(ctx context.Context) ([]table, error) {
	query := `SELECT name FROM sqlite_schema WHERE type = 'table'`
	if db.postgres {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`
	}
	names, err := list(ctx, db, column[string], query)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var tables []table
	for _, name := range names {
		if strings.HasPrefix(name, "sqlite_") || strings.HasPrefix(name, "goose_") || slices.Contains(transient, name) || name == markTable {
			continue
		}
		t, err := db.describeTable(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// hasTable reports whether the database has a table. It uses the writer's connection,
// because the first connection creates a SQLite file, and a reader's would lack the
// settings that must come before the first table.
func (db *DB) hasTable(ctx context.Context, name string) (bool, error) {
	query := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?`
	if db.postgres {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?`
	}
	_, err := one(ctx, pool{db, db.writer}, column[string], query, name)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (db *DB) describeTable(ctx context.Context, name string) (table, error) {
	t := table{name: name}
	rows, err := db.reader.QueryContext(ctx, `SELECT * FROM `+name+` WHERE false`)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return t, err
	}
	for _, c := range columns {
		t.columns = append(t.columns, c.Name())
		t.types = append(t.types, c.DatabaseTypeName())
	}
	query := `SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk`
	if db.postgres {
		query = `SELECT k.column_name FROM information_schema.key_column_usage k
			JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name, table_name)
			WHERE k.table_schema = current_schema() AND k.table_name = ? AND c.constraint_type = 'PRIMARY KEY'
			ORDER BY k.ordinal_position`
	}
	if t.key, err = list(ctx, db, column[string], query, name); err == nil && len(t.key) == 0 {
		err = errors.New("it has no primary key")
	}
	return t, err
}

// count returns how many rows tables have.
func (db *DB) count(ctx context.Context, tables []table) (rows int64, err error) {
	for _, t := range tables {
		var n int64
		if err := db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+t.name).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// A row holds the values of a row of a table, as int64, string or nil.
type row []any

// readRow scans a row with the given number of columns.
func (scan scanner) readRow(columns int) (row, error) {
	values, into := make(row, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	return values, scan(into...)
}
