package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// Which statements are kept prepared: short ones, which a transaction of few changes
// has, and at most preparedMost. Long ones have many lengths, and spread their cost over
// many rows.
const (
	preparedLength = 1500 // bytes of text
	preparedMost   = 100
)

// A statementCache keeps prepared statements of the one connection that writes to
// SQLite: preparing a short one takes as long as running it. PostgreSQL has none, since
// behind a pooler they would reach other connections.
type statementCache struct {
	mu      sync.Mutex
	all     map[string]*sql.Stmt // by their text; nil: not prepared yet
	missing bool                 // some are nil
}

// get returns a statement for use in a transaction, nil where it is not prepared. Then
// prepareMissing prepares it after the transaction, which has the only connection.
func (c *statementCache) get(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if len(query) > preparedLength {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.all[query]
	if s != nil {
		return tx.StmtContext(ctx, s) // which ends with the transaction
	}
	if !known && len(c.all) < preparedMost {
		if c.all == nil {
			c.all = make(map[string]*sql.Stmt)
		}
		c.all[query], c.missing = nil, true
	}
	return nil
}

// prepareMissing prepares the statements that the last transaction had to run without.
// It tries again next time where that fails.
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
	for _, text := range texts { // unlocked, for others may have the connection
		s, err := writer.PrepareContext(ctx, text)
		c.mu.Lock()
		switch {
		case err != nil:
			c.missing = true
		case c.all[text] != nil: // another has prepared it meanwhile
			s.Close()
		default:
			c.all[text] = s
		}
		c.mu.Unlock()
	}
}
