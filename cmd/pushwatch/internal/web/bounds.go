package web

import (
	"fmt"
	"strings"
)

const (
	// maxItems is the most items of a list, and names of an object: the size of the largest
	// batch.
	maxItems = 10_000
	// maxValues is the most items and names of a body in total: more than in a batch whose
	// tasks have all fields and labels.
	maxValues = 25 * maxItems
	// maxDepth is the deepest nesting of a body: deeper than any valid one.
	maxDepth = 16
)

// bounds counts the items of a JSON text while it arrives, so that a text that would need
// much memory is refused early. It does not check the syntax: for invalid JSON its counts
// have no meaning.
type bounds struct {
	depth    int
	levels   [maxDepth + 1]level // of the value at each depth
	inString bool
	escaped  bool
	text     []byte // of the last string, shortened
	values   int
}

// A level is a list or object whose end has not arrived yet.
type level struct {
	object bool
	items  int    // so far
	name   string // of an object's last item
	begun  bool   // the current item is counted in items
}

// A boundError is a part of a body that has too many items.
type boundError struct{ location, want string }

func (e *boundError) Error() string { return e.location + ": want " + e.want }

// scan counts the items of the next part of the text.
func (b *bounds) scan(part []byte) error {
	for _, c := range part {
		if b.inString {
			b.scanString(c)
			continue
		}
		here := &b.levels[min(b.depth, maxDepth)]
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case ',':
			here.begun = false
			continue
		case ':':
			here.name = string(b.text)
			continue
		case ']', '}':
			b.depth = max(0, b.depth-1)
			continue
		}
		if !here.begun && b.depth > 0 {
			here.begun = true
			if err := b.count(here); err != nil {
				return err
			}
		}
		switch c {
		case '"':
			b.inString, b.text = true, b.text[:0]
		case '[', '{':
			b.depth++
			if b.depth <= maxDepth { // deeper nesting is refused by the parser
				b.levels[b.depth] = level{object: c == '{'}
			}
		}
	}
	return nil
}

func (b *bounds) scanString(c byte) {
	const longest = 64
	switch {
	case b.escaped:
		b.escaped = false
	case c == '\\':
		b.escaped = true
	case c == '"':
		b.inString = false
		return
	}
	if len(b.text) < longest {
		b.text = append(b.text, c)
	}
}

// count counts a new item.
func (b *bounds) count(here *level) error {
	here.items++
	b.values++
	switch {
	case here.items > maxItems && here.object:
		return &boundError{b.location(), fmt.Sprintf("at most %d names", maxItems)}
	case here.items > maxItems:
		return &boundError{b.location(), fmt.Sprintf("at most %d items", maxItems)}
	case b.values > maxValues:
		return &boundError{"body", fmt.Sprintf("at most %d names and items in all", maxValues)}
	}
	return nil
}

// location returns the path of the innermost open list or object.
func (b *bounds) location() string {
	path := []byte("body")
	for _, l := range b.levels[1:min(b.depth, maxDepth)] {
		if l.object {
			path = fmt.Appendf(path, ".%s", strings.ToValidUTF8(l.name, "�"))
		} else {
			path = fmt.Appendf(path, "[%d]", l.items-1)
		}
	}
	return string(path)
}
