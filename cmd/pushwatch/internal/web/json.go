package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// strictJSON is JSON as the API takes and gives it.
var strictJSON = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}

// unmarshal reads JSON. A body is read twice: into an any, which is then validated, and
// into what the request takes. The first reading refuses what others may read
// differently: see [readValue].
func unmarshal(data []byte, v any) error {
	tree, ok := v.(*any)
	if !ok {
		return json.Unmarshal(data, v)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var err error
	if *tree, err = readValue(dec, maxDepth); err == nil {
		if _, err = dec.Token(); err == nil {
			return fmt.Errorf("want one JSON value: another one begins at byte %d", dec.InputOffset())
		}
		if err == io.EOF {
			return nil
		}
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("want JSON: %w, at byte %d", syntax, syntax.Offset)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("want JSON: it ends too early, after byte %d", len(data))
	}
	return err
}

// A notWhole is a number as it was written that is no int64, or not written as one. No
// request takes any, and no answer shows one but as text: a reader might fail at it.
type notWhole string

// readValue reads one value of at most that depth. A name that comes twice in an object,
// whatever its case, is refused. A number is an int64 or [notWhole].
func readValue(dec *json.Decoder, depth int) (any, error) {
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

func readList(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		value, err := readValue(dec, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := dec.Token() // its end
	return list, err
}

func readObject(dec *json.Decoder, depth int) (any, error) {
	object, names := make(map[string]any), make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		lower := strings.ToLower(name)
		if names[lower] {
			return nil, fmt.Errorf("want each name once in an object: %.100q comes twice", lower)
		}
		names[lower] = true
		if object[name], err = readValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token() // its end
	return object, err
}
