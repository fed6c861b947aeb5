package page

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// pageRows is how many rows a page of a list has.
const pageRows = 50

// rowsToRead is how many rows to read for a page: one more than it has, to know whether
// another page follows.
const rowsToRead = pageRows + 1

// A filter says which rows a list shows, and in which order. The address of the list has
// the same parameters.
type filter struct {
	path   string
	params url.Values // those that select
	Sort   sorting
}

// An order is how the rows of a page are sorted by a column; nil: not by the page.
type order[T any] func(a, b T) int

// readFilter reads the filter from the address of a list that can be sorted by some
// columns.
func readFilter[T any](r *request, path string, orders map[string]order[T], names ...string) filter {
	in := r.URL.Query()
	f := filter{path: path, params: make(url.Values)}
	for _, name := range names {
		f.params.Set(name, strings.TrimSpace(in.Get(name)))
	}
	column, descending := strings.CutPrefix(in.Get("sort"), "-")
	if _, ok := orders[column]; ok {
		f.Sort = sorting{column, descending}
	}
	return f
}

// Param returns a parameter that selects; empty: it selects all.
func (f filter) Param(name string) string { return f.params.Get(name) }

// Narrow reports whether the filter selects more than a state.
func (f filter) Narrow() bool {
	for name := range f.params {
		if name != "state" && f.Param(name) != "" {
			return true
		}
	}
	return false
}

// With is the address of the list with another value of a parameter.
func (f filter) With(name, value string) string {
	q := maps.Clone(f.params)
	q.Set("sort", f.Sort.String())
	q.Set(name, value)
	return withQuery(f.path, q)
}

// Cleared is the address of the list with no filter but the state.
func (f filter) Cleared() string { return address(f.path, "state", f.Param("state")) }

// A sorting is the column that a list is sorted by.
type sorting struct {
	Column     string // empty: the list's own order
	Descending bool
}

// String is the parameter "sort" of an address: "state", or "-state" for descending.
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
func (f filter) header(id, name string) column {
	c := column{ID: id}
	next := sorting{Column: name}
	if f.Sort.Column == name {
		if c.Sort = "ascending"; f.Sort.Descending {
			c.Sort = "descending"
		}
		next.Descending = !f.Sort.Descending
	}
	c.Link = f.With("sort", next.String())
	return c
}

// A list is a page of a list.
type list[T any] struct {
	Filter  filter
	Columns []column
	Rows    []T
	Pages   pages
	Partly  bool // only this page is sorted
}

// sort sorts the rows as the filter says.
func (l *list[T]) sort(orders map[string]order[T]) {
	compare := orders[l.Filter.Sort.Column]
	if compare == nil {
		return
	}
	slices.SortStableFunc(l.Rows, func(a, b T) int {
		if l.Filter.Sort.Descending {
			a, b = b, a
		}
		return compare(a, b)
	})
	l.Partly = l.Pages != pages{}
}

// pages are the links of a list to its other pages.
type pages struct {
	First string // empty: this is the first one
	Next  string // empty: this is the last one
}

// onePage cuts rows, of which rowsToRead were read, to a page. The parameter says where in
// the list the page begins; cursor returns its value for the page after a row.
func onePage[T any](r *request, f filter, parameter string, rows []T, cursor func(T) string) ([]T, pages) {
	var links pages
	if r.URL.Query().Get(parameter) != "" {
		links.First = f.With(parameter, "")
	}
	if len(rows) > pageRows {
		rows = rows[:pageRows]
		links.Next = f.With(parameter, cursor(rows[pageRows-1]))
	}
	return rows, links
}

// address is a path with parameters.
func address(path string, namesAndValues ...string) string {
	q := make(url.Values)
	for pair := range slices.Chunk(namesAndValues, 2) {
		q.Set(pair[0], pair[1])
	}
	return withQuery(path, q)
}

// withQuery is a path with those parameters that are not empty.
func withQuery(path string, q url.Values) string {
	maps.DeleteFunc(q, func(_ string, values []string) bool { return values[0] == "" })
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
