package tencent

import (
	"cmp"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// A field is a member of a JSON object and the destination of its value: **string, **int64,
// *anyText, *apiError or *describeResponse; nil: ignored.
type field struct {
	name string
	into any
}

// An unreadableField is a field whose value has not the type that the API promises.
type unreadableField struct{ name, jsonType string }

// anyText is a string, or the JSON of any other value.
type anyText struct{ text *string }

// read reads fields of a valid JSON object. A field that is null, missing or unreadable stays
// nil; unreadable ones are listed in d. If a name occurs twice, the last readable value counts.
// A name in another case counts only if the exact name has no value.
func (d *describeResponse) read(object gjson.Result, fields []field) {
	object.ForEach(func(name, value gjson.Result) bool {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name.Str })
		exact := i >= 0
		if !exact {
			i = slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name.Str) })
		}
		if i >= 0 && fields[i].into != nil && value.Type != gjson.Null && !d.store(fields[i].into, value, exact) {
			d.unreadable = append(d.unreadable, unreadableField{fields[i].name, jsonType(value)})
		}
		return true
	})
}

// store parses a value into the destination of a field, and reports whether it is readable.
// Without override it does not replace a value.
func (d *describeResponse) store(into any, value gjson.Result, override bool) bool {
	switch into := into.(type) {
	case **string:
		text, ok := parseText(value)
		return set(into, text, ok, override)
	case **int64:
		number, ok := parseInteger(value)
		return set(into, number, ok, override)
	case *anyText:
		text, ok := parseText(value)
		if !ok {
			text = value.Raw
		}
		return set(&into.text, text, true, override)
	case *apiError:
		into.present = true
		if value.IsObject() {
			d.read(value, []field{{"Code", &into.code}, {"Message", &into.message}})
		}
	case *describeResponse:
		if value.IsObject() && (override || !into.present) {
			into.readResponse(value)
		}
	}
	return value.IsObject()
}

// set stores a readable value, and returns readable.
func set[T any](into **T, value T, readable, override bool) bool {
	if readable && (override || *into == nil) {
		*into = &value
	}
	return readable
}

// parseText reads a JSON string, as the standard library does if it has escapes or invalid
// characters.
func parseText(value gjson.Result) (text string, ok bool) {
	text = value.Str
	if strings.Contains(value.Raw, `\`) || !utf8.ValidString(text) {
		json.Unmarshal([]byte(value.Raw), &text)
	}
	return text, value.Type == gjson.String
}

// parseInteger reads an int64 from a JSON number or string, in any notation.
func parseInteger(value gjson.Result) (number int64, ok bool) {
	text := cmp.Or(value.Str, value.Raw)
	if number, err := strconv.ParseInt(text, 10, 64); err == nil {
		return number, true
	}
	_, power, _ := strings.Cut(strings.ToLower(text), "e")
	if strings.Trim(text, "+-.0123456789eE") != "" || len(text) > 64 || len(power) > 4 { // too much for exact arithmetic
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || !exact.IsInt() || !exact.Num().IsInt64() {
		return 0, false
	}
	return exact.Num().Int64(), true
}

// jsonType returns the JSON type of a value.
func jsonType(value gjson.Result) string {
	switch {
	case value.IsObject():
		return "object"
	case value.IsArray():
		return "array"
	case value.IsBool():
		return "boolean"
	default:
		return strings.ToLower(value.Type.String()) // string, number or null
	}
}
