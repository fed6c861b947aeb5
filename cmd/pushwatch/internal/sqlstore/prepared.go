package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// The limits of the statements that stay prepared. They are short ones, as in a transaction
// of few changes. Long ones come in many lengths, and spread their cost over many rows.
const (
	preparedLength = 1500 // bytes of text
	preparedMost   = 100
)

// A statementCache keeps prepared statements for the connection that writes to SQLite:
// preparing a short statement takes as long as running it. It is not used for PostgreSQL,
// because behind a pooler the statements would be on other connections: a nil cache has none.
type statementCache struct {
	mu      sync.Mutex
	all     map[string]*sql.Stmt // by text; nil: not prepared yet
	missing bool                 // some are nil
}

// get returns a statement for use in a transaction; nil: it is not prepared. Then
// prepareMissing prepares it after the transaction, which holds the only connection.
func (c *statementCache) get(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if c == nil || len(query) > preparedLength {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.all[query]
	if s != nil {
		return tx.StmtContext(ctx, s) // closed with the transaction
	}
	if !known && len(c.all) < preparedMost {
		c.all[query], c.missing = nil, true
	}
	return nil
}

// prepareMissing prepares the statements that the last transaction ran unprepared. Failures
// are tried again next time.
func (c *statementCache) prepareMissing(ctx context.Context, writer *sql.DB) {
	c.mu.Lock()
	var texts []string
	if c.missing {
		for text, s := range c.all {
			if s == nil {
				texts = append(texts, text)
			}
		}
	}
	c.missing = false
	c.mu.Unlock()
	for _, text := range texts { // without the lock, because another goroutine may have the connection
		s, err := writer.PrepareContext(ctx, text)
		c.mu.Lock()
		switch {
		case err != nil:
			c.missing = true
		case c.all[text] != nil: // another goroutine prepared it first
			s.Close()
		default:
			c.all[text] = s
		}
		c.mu.Unlock()
	}
}
