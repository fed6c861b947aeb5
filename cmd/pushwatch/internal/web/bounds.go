package web

import (
	"fmt"
	"strings"
)

const (
	// maxItems is how many items a list can have, and how many names an object: as many
	// as a batch has tasks.
	maxItems = 10_000
	// maxValues is how many items and names a body can have in all: more than a batch
	// whose tasks have all fields and all labels.
	maxValues = 25 * maxItems
	// maxDepth is how deep a body may be nested: deeper than any that is right.
	maxDepth = 16
)

// bounds counts what JSON text holds while it arrives, so that text which would need much
// memory is refused before it is kept. It does not check the syntax: of text that is no
// JSON it may count anything.
type bounds struct {
	depth    int
	levels   [maxDepth + 1]level // of the value at each depth
	inString bool
	escaped  bool
	text     []byte // of the last string, cut
	values   int
}

// A level is a list or an object that is open.
type level struct {
	object bool
	items  int    // that have begun
	name   string // of the last item of an object
	begun  bool   // the item that items counts last
}

// A boundError is a part of a body that has too many items.
type boundError struct{ location, want string }

func (e *boundError) Error() string { return e.location + ": want " + e.want }

// scan counts what the next part of the text holds.
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
			if b.depth <= maxDepth { // deeper text is refused when it is parsed
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

// count counts an item that begins.
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

// location is the path of the list or object that is open.
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
