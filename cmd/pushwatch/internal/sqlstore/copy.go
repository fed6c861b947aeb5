package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Errors of [Copy] that a caller branches on.
var (
	// ErrNotEmpty: the target of a copy holds other data already.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrUnfinished: the database is an incomplete copy of another one, which only
	// another [Copy] from the same source can complete.
	ErrUnfinished = errors.New("the database holds an unfinished copy of another")
	// ErrChanged: another process wrote to the source while it was copied. The next
	// [Copy] starts over.
	ErrChanged = errors.New("the source was changed while it was copied")
)

// A Progress is how far a [Copy] has come.
type Progress struct {
	Comparing   bool   // everything is copied and is being compared
	Table       string // the current one
	Rows, Total int64  // of all tables: done so far, and in the source
}

// A CopiedTable is a table that is the same in both databases.
type CopiedTable struct {
	Name string
	Rows int64
}

// copyRows is how many rows are read and committed together.
const copyRows = 16 * rowsPerStatement

// Copy copies all rows from one database to another, and then compares both. First it
// migrates the tables of both to the current version. It calls report regularly, from
// one goroutine at a time.
//
// No owner writes to the source during a copy: a SQLite file is locked; in PostgreSQL no
// replica may be live, and the epochs of all accounts are raised. The copy fails if an
// account gets an owner or the rows change nevertheless. Until it is complete, the target
// has a mark, from which an interrupted copy continues, and which [Open] refuses.
func Copy(ctx context.Context, from, to Config, report func(Progress)) ([]CopiedTable, error) {
	source, err := Open(ctx, from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	target, err := open(ctx, to)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	c := copying{source: source, target: target, sourceName: nameOf(from.URL), report: report}
	tables, err := c.run(ctx)
	return tables, wrap(err, "copy store")
}

// A copying is a [Copy] in progress.
type copying struct {
	source, target *DB
	sourceName     string
	tables         []table // of the target; the source has the same
	mark           mark
	progress       Progress
	report         func(Progress)
}

func (c *copying) run(ctx context.Context) ([]CopiedTable, error) {
	if err := c.readTables(ctx); err != nil {
		return nil, err
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	var err error
	if c.progress.Total, err = c.source.count(ctx, c.tables); err != nil {
		return nil, err
	}
	if c.progress.Rows, err = c.target.count(ctx, c.tables); err != nil {
		return nil, err
	}
	for _, t := range c.tables {
		if t.name < c.mark.Table {
			continue // it is complete
		}
		if err := c.copyTable(ctx, t); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	copied, err := c.compare(ctx)
	if err != nil {
		return nil, err
	}
	return copied, c.target.exec(ctx, `DROP TABLE `+markTable)
}

// readTables reads which tables to copy.
func (c *copying) readTables(ctx context.Context) error {
	there, err := c.source.catalogue(ctx)
	if err != nil {
		return err
	}
	if c.tables, err = c.target.catalogue(ctx); err != nil {
		return err
	}
	same := func(a, b table) bool {
		return a.name == b.name && slices.Equal(a.columns, b.columns) && slices.Equal(a.key, b.key)
	}
	if !slices.EqualFunc(there, c.tables, same) {
		return errors.New("the tables of the two databases differ, although they are of the same version: was one changed by hand?")
	}
	return nil
}

// unused returns [ErrLocked] if a live replica uses the source.
func (c *copying) unused(ctx context.Context) error {
	if !c.source.Replicated() {
		return nil // the file is locked
	}
	members, err := c.source.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Live {
			return fmt.Errorf("%w: stop the replica %s; one that was killed counts as dead after %s", ErrLocked, m.Name, c.source.ttl)
		}
	}
	return nil
}

// begin continues a copy of the same source, or begins one if the target is empty.
func (c *copying) begin(ctx context.Context) error {
	if err := c.unused(ctx); err != nil {
		return err
	}
	epochs, err := c.source.epochs(ctx)
	if err != nil {
		return err
	}
	begun, err := c.target.hasTable(ctx, markTable)
	if err != nil {
		return err
	}
	if begun {
		// A killed process may have left a commit in progress: this waits for its end.
		err := c.target.write(ctx, func(tx transaction) (err error) {
			c.mark, err = readMark(tx.queryRow(ctx, `UPDATE `+markTable+` SET mark = mark RETURNING mark`))
			return err
		})
		if err != nil {
			return err
		}
		if c.mark.Source != c.sourceName {
			return fmt.Errorf("%w: it holds an unfinished copy of %s", ErrNotEmpty, c.mark.Source)
		}
		if maps.Equal(c.mark.Epochs, epochs) {
			return nil // no account has had an owner since
		}
	} else if rows, err := c.target.count(ctx, c.tables); err != nil {
		return err
	} else if rows > 0 {
		return fmt.Errorf("%w: its tables have %d rows", ErrNotEmpty, rows)
	}
	if err := c.source.exec(ctx, `UPDATE accounts SET epoch = epoch + 1`); err != nil { // no owner has its account any more
		return err
	}
	if c.mark.Epochs, err = c.source.epochs(ctx); err != nil {
		return err
	}
	c.mark.Source, c.mark.Table, c.mark.After = c.sourceName, "", nil
	empty := `DELETE FROM `
	if c.target.postgres {
		empty = `TRUNCATE TABLE ` // its time does not grow with the rows
	}
	return c.target.write(ctx, func(tx transaction) error {
		for _, t := range c.tables {
			if _, err := tx.exec(ctx, empty+t.name); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, `CREATE TABLE IF NOT EXISTS `+markTable+` (mark TEXT NOT NULL)`); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM `+markTable); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO `+markTable+` (mark) VALUES (?)`, encodeJSON(c.mark))
		return err
	})
}

// copyTable copies the rows of a table after the mark.
func (c *copying) copyTable(ctx context.Context, t table) error {
	if err := c.unchanged(ctx); err != nil {
		return err
	}
	var after []any
	if c.mark.Table == t.name {
		after = c.mark.After
	}
	for {
		c.progress.Table = t.name
		c.report(c.progress)
		rows, err := c.source.page(ctx, t, after)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		after = t.keyOf(rows[len(rows)-1])
		if err := c.save(ctx, t, rows, mark{c.mark.Source, c.mark.Epochs, t.name, after}); err != nil {
			return err
		}
		c.progress.Rows += int64(len(rows))
	}
}

// save writes rows, and the mark after them, in one transaction.
func (c *copying) save(ctx context.Context, t table, rows []row, next mark) error {
	err := c.target.write(ctx, func(tx transaction) error {
		err := tx.execOne(ctx, errors.New("something else writes to the target: is another copy running?"),
			`UPDATE `+markTable+` SET mark = ? WHERE mark = ?`, encodeJSON(next), encodeJSON(c.mark)) // equal marks have equal texts
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(rows, rowsPerStatement) {
			var args []any
			for _, r := range chunk {
				args = append(args, r...)
			}
			if _, err := tx.exec(ctx, `INSERT INTO `+t.name+` (`+strings.Join(t.columns, ", ")+`) VALUES `+values(len(chunk), t.types...), args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		c.mark = next
	}
	return err
}

// nameOf returns a URL without secrets that identifies a database.
func nameOf(url string) string {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if absolute, err := filepath.Abs(path); err == nil {
			return "sqlite:" + absolute
		}
	}
	return redact(url)
}

// unchanged returns [ErrChanged] if an account has got an owner since the copy began.
func (c *copying) unchanged(ctx context.Context) error {
	epochs, err := c.source.epochs(ctx)
	if err == nil && !maps.Equal(epochs, c.mark.Epochs) {
		err = fmt.Errorf("%w: a pushwatch is using it: stop it and try again", ErrChanged)
	}
	return err
}

// page reads the rows of a table after a key, in the order of keys; nil: from the first.
func (db *DB) page(ctx context.Context, t table, after []any) ([]row, error) {
	key := strings.Join(t.key, ", ")
	where := ""
	if after != nil {
		where = ` WHERE (` + key + `) > (?` + strings.Repeat(", ?", len(t.key)-1) + `)`
	}
	return list(ctx, db, func(scan scanner) (row, error) { return scan.readRow(len(t.columns)) }, fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s LIMIT %d`, strings.Join(t.columns, ", "), t.name, where, key, copyRows), after...)
}

// keyOf returns the values of a row's primary key.
func (t *table) keyOf(r row) []any {
	var key []any
	for _, name := range t.key {
		key = append(key, r[slices.Index(t.columns, name)])
	}
	return key
}

// epochs returns the epoch of every account.
func (db *DB) epochs(ctx context.Context) (map[string]int64, error) {
	return pairs[string, int64](ctx, db, `SELECT name, epoch FROM accounts`)
}

// markTable is a table with one row, a [mark], in a database that holds an
// unfinished copy.
const markTable = "unfinished_copy"

// A mark is the source and the progress of an unfinished copy.
type mark struct {
	Source string           // its URL without secrets
	Epochs map[string]int64 // of its accounts: unchanged as long as none gets an owner
	Table  string           // the current one; those before it, by name, are complete
	After  []any            // the key of its last row
}

// readMark decodes a stored mark.
func readMark(stored *sql.Row) (m mark, err error) {
	var text string
	if err := stored.Scan(&text); err != nil {
		return m, err
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber() // a float64 does not hold every key
	if err := dec.Decode(&m); err != nil {
		return m, err
	}
	for i, v := range m.After {
		if n, ok := v.(json.Number); ok {
			if m.After[i], err = n.Int64(); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// refuseUnfinished returns [ErrUnfinished] if the database is an incomplete copy.
func (db *DB) refuseUnfinished(ctx context.Context) error {
	unfinished, err := db.hasTable(ctx, markTable)
	if err != nil || !unfinished {
		return err
	}
	m, err := readMark(db.reader.QueryRowContext(ctx, `SELECT mark FROM `+markTable))
	if err != nil {
		return err
	}
	return fmt.Errorf("%w, %s: finish it with pushwatch migrate, or delete it", ErrUnfinished, m.Source)
}
