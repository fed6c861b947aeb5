package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// Which statements are kept prepared: short ones, as a transaction of few changes has
// them, and so many. Long ones have many lengths, and spread their cost over many rows.
const (
	preparedLength = 1500 // bytes of text
	preparedMost   = 100
)

// prepared keeps statements of the one connection that writes to SQLite: preparing a
// short one takes as long as running it. PostgreSQL has none, since behind a pooler
// they would meet other connections.
type prepared struct {
	mu  sync.Mutex
	all map[string]*sql.Stmt // by their text; nil: not prepared yet
	new bool                 // some are nil
}

// get returns a statement for use in a transaction, nil where it is not prepared: then
// it is afterwards, for the transaction has the only connection.
func (p *prepared) get(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if len(query) > preparedLength {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.all[query]
	if s != nil {
		return tx.StmtContext(ctx, s) // which ends with the transaction
	}
	if !known && len(p.all) < preparedMost {
		if p.all == nil {
			p.all = make(map[string]*sql.Stmt)
		}
		p.all[query], p.new = nil, true
	}
	return nil
}

// catchUp prepares what the last transaction had to run without. What cannot be
// prepared now is the next time.
func (p *prepared) catchUp(ctx context.Context, writer *sql.DB) {
	p.mu.Lock()
	var texts []string
	if p.new {
		for text, s := range p.all {
			if s == nil {
				texts = append(texts, text)
			}
		}
	}
	p.new = false
	p.mu.Unlock()
	for _, text := range texts { // unlocked, for others may have the connection
		s, err := writer.PrepareContext(ctx, text)
		p.mu.Lock()
		switch {
		case err != nil:
			p.new = true
		case p.all[text] != nil: // another has prepared it meanwhile
			s.Close()
		default:
			p.all[text] = s
		}
		p.mu.Unlock()
	}
}
