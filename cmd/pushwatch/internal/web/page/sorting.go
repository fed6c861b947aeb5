package page

import (
	"slices"
	"strings"
)

// A sorting is the column that a list is sorted by.
type sorting struct {
	Column     string // empty: the list's own order
	Descending bool
}

// readSorting reads the parameter "sort" of an address: "state", or "-state" for
// descending. Columns that there are not count as none.
func readSorting(text string, known func(column string) bool) sorting {
	name, descending := strings.CutPrefix(text, "-")
	if !known(name) {
		return sorting{}
	}
	return sorting{name, descending}
}

// String is the parameter.
func (s sorting) String() string {
	if s.Descending {
		return "-" + s.Column
	}
	return s.Column
}

// A column is the header of one.
type column struct {
	ID     string // of its name in the catalogue
	Link   string // sorts by it; empty: it does not sort
	Sort   string // "ascending" or "descending"; empty: the list is not sorted by it
	Number bool   // its values are numbers
}

// header is the header of a column by which a list can be sorted, or reversed where it is
// already.
func (s sorting) header(id, name string, address func(sorting) string) column {
	c := column{ID: id}
	next := sorting{Column: name}
	if s.Column == name {
		if c.Sort = "ascending"; s.Descending {
			c.Sort = "descending"
		}
		next.Descending = !s.Descending
	}
	c.Link = address(next)
	return c
}

// sortRows sorts the rows of a page by a column, where there is a comparison for it.
func sortRows[T any](rows []T, s sorting, by map[string]func(a, b T) int) {
	compare, ok := by[s.Column]
	if !ok {
		return
	}
	if s.Descending {
		ascending := compare
		compare = func(a, b T) int { return ascending(b, a) }
	}
	slices.SortStableFunc(rows, compare)
}
