package sqlstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
)

// A sum stands for the rows of a table, in whatever order they are read: two
// tables have the same one if they hold the same rows, and otherwise do not, but
// for one chance in 2⁶⁴.
type sum struct {
	rows   int64
	hashes uint64 // of all rows, added up
}

// compare reads both databases again, all of them, and returns what they have in
// common, which must be everything. A copy that is not the same is begun anew by
// the next [Copy].
func (c *copying) compare(ctx context.Context) ([]CopiedTable, error) {
	c.progress.Comparing, c.progress.Rows = true, 0
	seed := maphash.MakeSeed()
	var same []CopiedTable
	for _, t := range c.tables {
		c.progress.Table = t.name
		c.report(c.progress)
		var there, here sum
		var errThere, errHere error
		var both sync.WaitGroup
		both.Go(func() { here, errHere = c.target.sum(ctx, t, seed, func() {}) })
		there, errThere = c.source.sum(ctx, t, seed, func() {
			c.progress.Rows += copyRows
			c.report(c.progress)
		})
		both.Wait()
		if err := errors.Join(errThere, errHere); err != nil {
			return nil, fmt.Errorf("compare table %s: %w", t.name, err)
		}
		if there != here {
			return nil, errors.Join(
				fmt.Errorf("%w: table %s has %d rows there and %d here, with sums %x and %x: try again", ErrChanged, t.name, there.rows, here.rows, there.hashes, here.hashes),
				c.spoil(ctx))
		}
		c.progress.Rows += there.rows % copyRows
		same = append(same, CopiedTable{t.name, there.rows})
	}
	return same, c.unchanged(ctx)
}

// spoil has the next copying begin anew.
func (c *copying) spoil(ctx context.Context) error {
	spoilt := c.mark
	spoilt.Epochs = nil
	return c.save(ctx, table{}, nil, spoilt)
}

// sum reads a table, and calls now and then for every copyRows of it.
func (db *DB) sum(ctx context.Context, t table, seed maphash.Seed, now func()) (sum, error) {
	var s sum
	var h maphash.Hash
	h.SetSeed(seed)
	err := db.each(ctx, db.reader, func(scan scanner) error {
		r, err := scan.row(len(t.columns))
		if err != nil {
			return err
		}
		h.Reset()
		for _, v := range r {
			if err := hashValue(&h, v); err != nil {
				return err
			}
		}
		s.hashes += h.Sum64()
		if s.rows++; s.rows%copyRows == 0 {
			now()
		}
		return nil
	}, `SELECT `+strings.Join(t.columns, ", ")+` FROM `+t.name)
	return s, err
}

// hashValue adds a value to h, so that no two rows are the same to it that differ.
func hashValue(h *maphash.Hash, v any) error {
	var number [8]byte
	switch v := v.(type) {
	case nil:
		h.WriteByte('0')
	case int64:
		h.WriteByte('n')
		binary.BigEndian.PutUint64(number[:], uint64(v))
		h.Write(number[:])
	case string:
		h.WriteByte('t')
		binary.BigEndian.PutUint64(number[:], uint64(len(v)))
		h.Write(number[:])
		h.WriteString(v)
	default:
		return fmt.Errorf("a value of type %T: the tables have numbers and texts only", v)
	}
	return nil
}
