package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// strictJSON is the JSON format of the API.
var strictJSON = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}

// unmarshal reads JSON. huma reads a body twice: into an any, which it validates, and into
// the request's type. The first reading refuses ambiguous JSON: see [readValue].
func unmarshal(data []byte, v any) error {
	tree, ok := v.(*any)
	if !ok {
		return json.Unmarshal(data, v)
	}
	dec := newTokenReader(data)
	var err error
	if *tree, err = readValue(dec, maxDepth); err == nil {
		if _, err = dec.Decoder.Token(); err == nil {
			return fmt.Errorf("want one JSON value: a second one begins at byte %d", dec.InputOffset())
		}
		if err == io.EOF {
			return nil
		}
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("want JSON: %w, at byte %d", syntax, syntax.Offset)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("want JSON: it ends early, after byte %d", len(data))
	}
	return err
}

// A tokenReader reads the tokens of a body.
type tokenReader struct {
	*json.Decoder
	body []byte
}

func newTokenReader(body []byte) *tokenReader {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return &tokenReader{dec, body}
}

// Token is the decoder's Token, except that it refuses text that is not UTF-8: the decoder
// would replace the invalid bytes.
func (r *tokenReader) Token() (json.Token, error) {
	from := r.InputOffset()
	token, err := r.Decoder.Token()
	if err != nil {
		return nil, err
	}
	if _, ok := token.(string); ok && !isText(r.body[from:r.InputOffset()]) {
		return nil, new(notText)
	}
	return token, nil
}

// isText reports whether JSON is UTF-8, including its escapes: half of a surrogate pair is
// not.
func isText(raw []byte) bool {
	if !utf8.Valid(raw) {
		return false
	}
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return true
		}
		if raw = raw[i+1:]; raw[0] != 'u' {
			raw = raw[1:]
			continue
		}
		unit := escaped(raw[1:])
		raw = raw[5:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		if !bytes.HasPrefix(raw, []byte(`\u`)) || utf16.DecodeRune(unit, escaped(raw[2:])) == unicode.ReplacementChar {
			return false
		}
		raw = raw[6:]
	}
}

// escaped returns the value of four hexadecimal digits, which the decoder has checked.
func escaped(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16)
	return rune(n)
}

// A notText is the error of a text that is not UTF-8, in the field at the path.
type notText struct{ path string }

func (e *notText) Error() string {
	return fmt.Sprintf("want %s in UTF-8, escapes included", cmp.Or(e.path, "all text"))
}

// in adds the name of a field, or an index, to the path of a [notText].
func in(name string, err error) error {
	if e, ok := errors.AsType[*notText](err); ok {
		e.path = strings.TrimSuffix(name+"."+e.path, ".")
	}
	return err
}

// A notWhole is the text of a number that is not an int64. No request accepts one. Answers
// quote it as text, because a client might fail to read the number.
type notWhole string

// readValue reads one value with at most the given depth. It refuses an object with two
// names that differ at most in case. A number is an int64 or a [notWhole].
func readValue(dec *tokenReader, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	open, ok := token.(json.Delim)
	if !ok {
		if number, ok := token.(json.Number); ok {
			n, err := number.Int64()
			if err != nil {
				return notWhole(number), nil
			}
			return n, nil
		}
		return token, nil
	}
	if depth == 0 {
		return nil, errors.New("want a body that is nested less deeply")
	}
	if open == '[' {
		return readList(dec, depth)
	}
	return readObject(dec, depth)
}

func readList(dec *tokenReader, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		value, err := readValue(dec, depth-1)
		if err != nil {
			return nil, in(strconv.Itoa(len(list)), err)
		}
		list = append(list, value)
	}
	_, err := dec.Token() // its end
	return list, err
}

func readObject(dec *tokenReader, depth int) (any, error) {
	object, names := make(map[string]any), make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		lower := strings.ToLower(name)
		if names[lower] {
			return nil, fmt.Errorf("want each name once in an object: %.100q occurs twice", lower)
		}
		names[lower] = true
		if object[name], err = readValue(dec, depth-1); err != nil {
			return nil, in(name, err)
		}
	}
	_, err := dec.Token() // its end
	return object, err
}
