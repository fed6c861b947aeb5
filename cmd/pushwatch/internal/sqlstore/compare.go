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

// A checksum is a hash of the rows of a table, in any order. Tables with different rows
// have the same checksum with a probability of 2⁻⁶⁴.
type checksum struct {
	rows   int64
	hashes uint64 // the sum of the hashes of all rows
}

// compare reads all of both databases and returns the tables, which must be the same. If
// they differ, the next [Copy] starts over.
func (c *copying) compare(ctx context.Context) ([]CopiedTable, error) {
	c.progress.Comparing, c.progress.Rows = true, 0
	seed := maphash.MakeSeed()
	var same []CopiedTable
	for _, t := range c.tables {
		c.progress.Table = t.name
		c.report(c.progress)
		var there, here checksum
		var errThere, errHere error
		var both sync.WaitGroup
		both.Go(func() { here, errHere = c.target.sumTable(ctx, t, seed, func() {}) })
		there, errThere = c.source.sumTable(ctx, t, seed, func() {
			c.progress.Rows += copyRows
			c.report(c.progress)
		})
		both.Wait()
		if err := errors.Join(errThere, errHere); err != nil {
			return nil, fmt.Errorf("compare table %s: %w", t.name, err)
		}
		if there != here {
			invalid := c.mark
			invalid.Epochs = nil // the next Copy starts over
			return nil, errors.Join(
				fmt.Errorf("%w: table %s has %d rows in the source and %d in the target, with checksums %x and %x: try again", ErrChanged, t.name, there.rows, here.rows, there.hashes, here.hashes),
				c.save(ctx, table{}, nil, invalid))
		}
		c.progress.Rows += there.rows % copyRows
		same = append(same, CopiedTable{t.name, there.rows})
	}
	return same, c.unchanged(ctx)
}

// sumTable reads a table and returns its checksum. It calls progress after every copyRows
// rows.
func (db *DB) sumTable(ctx context.Context, t table, seed maphash.Seed, progress func()) (checksum, error) {
	var s checksum
	var h maphash.Hash
	h.SetSeed(seed)
	err := db.each(ctx, func(scan scanner) error {
		r, err := scan.readRow(len(t.columns))
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
			progress()
		}
		return nil
	}, `SELECT `+strings.Join(t.columns, ", ")+` FROM `+t.name)
	return s, err
}

// hashValue adds a value to h, with its type and length, so that different rows have
// different hash inputs.
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
