package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// strictJSON is JSON as the API takes and gives it.
var strictJSON = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}

// maxDepth is how deep a body may be nested: deeper than any that is right.
const maxDepth = 16

// unmarshal reads JSON and refuses what others may read differently: a name that
// comes twice in an object, whatever its case.
func unmarshal(data []byte, v any) error {
	if err := unambiguous(json.NewDecoder(bytes.NewReader(data)), maxDepth); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// unambiguous reads one value.
func unambiguous(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return errors.New("nested too deeply")
	}
	names := make(map[string]bool)
	for dec.More() {
		if open == '{' {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			name := strings.ToLower(fmt.Sprint(token))
			if names[name] {
				return fmt.Errorf("the name %.100q comes twice in an object", name)
			}
			names[name] = true
		}
		if err := unambiguous(dec, depth-1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
