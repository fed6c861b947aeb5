package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestBounds(t *testing.T) {
	list := func(n int) string { return `[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]` }
	object := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `,"%d":"a,b:{[\"]}"`, i)
		}
		return `{` + strings.TrimPrefix(text.String(), ",") + `}`
	}
	for _, c := range []struct{ text, location string }{
		{`[]`, ""},
		{list(maxItems), ""},
		{list(maxItems + 1), "body"},
		{` [ 1 , ` + list(maxItems+1) + `]`, "body[1]"},
		{object(maxItems), ""},
		{object(maxItems + 1), "body"},
		{`{"a":1,"tasks":[{},{"labels":` + object(maxItems+1) + `}]}`, "body.tasks[1].labels"},
		{`{"a":` + list(maxItems) + `,"b":` + list(maxItems) + `}`, ""},
		{`[` + strings.Repeat(list(maxItems)+`,`, maxValues/maxItems) + `1]`, "body"},
		{strings.Repeat("[", 100_000), ""}, // for the parser to refuse
		{`{"` + strings.Repeat("x", 100) + `":` + list(maxItems+1) + `}`, "body." + strings.Repeat("x", 64)},
		{strings.Repeat("]", 10) + list(maxItems+1), "body"},
	} {
		for _, size := range []int{1, 7, len(c.text)} {
			location := ""
			if e, ok := errors.AsType[*boundError](scanParts(c.text, size)); ok {
				location = e.location
			}
			if location != c.location {
				t.Errorf("scan(%.60s) in parts of %d = %q, want %q", c.text, size, location, c.location)
			}
		}
	}
}

// scanParts scans text in parts of some bytes.
func scanParts(text string, size int) error {
	var b bounds
	for part := range slices.Chunk([]byte(text), size) {
		if err := b.scan(part); err != nil {
			return err
		}
	}
	return nil
}

// FuzzBounds compares the count with that of a parser.
func FuzzBounds(f *testing.F) {
	for _, text := range []string{`{"a":[1,2,{"b":"c,\"d"}],"e":{}}`, `[[],[[]],""]`, `{"tasks":[{},{}]}`, `"a"`, `[1e5,-2,true,null]`, ` { "a" : { } } `} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b bounds
		err := b.scan([]byte(text)) // must not fail on anything
		var v any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if !json.Valid([]byte(text)) || dec.Decode(&v) != nil || err != nil {
			return
		}
		if values, deep := countValues(text); !deep && b.values != values {
			t.Errorf("scan(%q) counts %d values, want %d", text, b.values, values)
		}
	})
}

// countValues counts the items and names of valid JSON, and reports whether it is nested
// deeper than is counted.
func countValues(text string) (n int, deep bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	var objects []bool // of what is open
	key := false       // whether an object's name comes next
	for {
		token, err := dec.Token()
		if err != nil {
			return n, deep
		}
		if token == json.Delim(']') || token == json.Delim('}') {
			objects = objects[:len(objects)-1]
			key = len(objects) > 0 && objects[len(objects)-1]
			continue
		}
		inObject := len(objects) > 0 && objects[len(objects)-1]
		if len(objects) > 0 && (!inObject || key) {
			n++
		}
		switch {
		case token == json.Delim('[') || token == json.Delim('{'):
			objects = append(objects, token == json.Delim('{'))
			deep = deep || len(objects) > maxDepth
			key = token == json.Delim('{')
		default:
			key = inObject && !key
		}
	}
}
