package page

import (
	"net/url"
	"slices"
)

// pageRows is how many rows a page of a list has.
const pageRows = 50

// rowsToRead is how many rows to read for a page: one more than it has, to know whether
// another page follows.
const rowsToRead = pageRows + 1

// pages are the links of a list to its other pages.
type pages struct {
	First string // empty: this is the first one
	Next  string // empty: this is the last one
}

// firstPage cuts rows, of which rowsToRead were read from a cursor on, to a page. address
// returns the address of the page after a row; nil: of the first page.
func firstPage[T any](rows []T, cursor string, address func(after *T) string) ([]T, pages) {
	var links pages
	if cursor != "" {
		links.First = address(nil)
	}
	if len(rows) > pageRows {
		rows = rows[:pageRows]
		links.Next = address(&rows[pageRows-1])
	}
	return rows, links
}

// address is a path with the parameters that are not empty.
func address(path string, namesAndValues ...string) string {
	q := url.Values{}
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
