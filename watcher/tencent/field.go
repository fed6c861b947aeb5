package tencent

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
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
func (d *describeResponse) read(object []byte, fields []field) {
	for rest := object[1:]; ; {
		var name, value []byte
		if name, value, rest = nextMember(rest); name == nil {
			return
		}
		f, exact := find(fields, name)
		if f.into != nil && string(value) != "null" && !d.store(f, value, exact) {
			d.unreadable = append(d.unreadable, unreadableField{f.name, jsonType(value)})
		}
	}
}

// find returns the field of a quoted name, and whether the name is exact.
func find(fields []field, quoted []byte) (f field, exact bool) {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		text, _ := parseText(quoted)
		name = []byte(text)
	}
	for _, f := range fields {
		if string(name) == f.name {
			return f, true
		}
	}
	for _, f := range fields {
		if strings.EqualFold(string(name), f.name) {
			return f, false
		}
	}
	return field{}, false
}

// store parses a value into its field, and reports whether it is readable. Without override it
// does not replace a value.
func (d *describeResponse) store(f field, value []byte, override bool) bool {
	switch into := f.into.(type) {
	case **string:
		text, ok := parseText(value)
		if ok && (override || *into == nil) {
			*into = &text
		}
		return ok
	case **int64:
		number, ok := parseInteger(value)
		if ok && (override || *into == nil) {
			*into = &number
		}
		return ok
	case *anyText:
		text, ok := parseText(value)
		if !ok {
			text = string(value)
		}
		if override || into.text == nil {
			into.text = &text
		}
		return true
	case *apiError:
		into.present = true
		if value[0] != '{' {
			return false
		}
		d.read(value, []field{{"Code", &into.code}, {"Message", &into.message}})
		return true
	case *describeResponse:
		if value[0] != '{' {
			return false
		}
		if override || !into.present {
			into.readResponse(value)
		}
		return true
	}
	return false
}

// parseText reads a JSON string.
func parseText(value []byte) (text string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	return unquote(value)
}

// unquote reads a JSON string with escapes or invalid characters. Inlined into parseText it would
// cost an allocation for every string.
func unquote(value []byte) (text string, ok bool) {
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// parseInteger reads an int64 from a JSON number or string, in any notation.
func parseInteger(value []byte) (number int64, ok bool) {
	if value[0] == '"' {
		value = value[1 : len(value)-1]
	}
	if number, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return number, true
	}
	mantissa, power, hasPower := strings.Cut(strings.ToLower(string(value)), "e")
	unsigned := strings.TrimPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	digits := whole + fraction
	if whole == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	point := int64(len(whole)) // digits before the decimal point
	if hasPower {
		shift, err := strconv.ParseInt(power, 10, 32)
		if err != nil {
			return 0, false
		}
		point += shift
	}
	significant := strings.TrimLeft(digits, "0")
	point -= int64(len(digits) - len(significant))
	significant = strings.TrimRight(significant, "0")
	const longest = 19 // digits of an int64
	if significant == "" {
		return 0, true
	}
	if point > longest || point < int64(len(significant)) {
		return 0, false
	}
	zeros := strings.Repeat("0", int(point)-len(significant))
	number, err := strconv.ParseInt(mantissa[:len(mantissa)-len(unsigned)]+significant+zeros, 10, 64)
	return number, err == nil
}

// jsonType returns the JSON type of a value.
func jsonType(value []byte) string {
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

const separators = " \t\r\n,:"

// nextMember returns the next member of a valid JSON object, with its quoted name, and the rest
// of the text; a nil name: the object ends.
func nextMember(text []byte) (name, value, rest []byte) {
	text = bytes.TrimLeft(text, separators)
	if len(text) == 0 || text[0] == '}' {
		return nil, nil, nil
	}
	name, rest = nextValue(text)
	value, rest = nextValue(bytes.TrimLeft(rest, separators))
	return name, value, rest
}

// nextValue returns the JSON value that text begins with, and the rest of the text.
func nextValue(text []byte) (value, rest []byte) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // an escaped character does not end the string
		case quoted && c != '"':
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return text[:i+1], text[i+1:]
			}
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == '}' || c == ']' || strings.IndexByte(separators, c) >= 0):
			return text[:i], text[i:] // after a number or a word
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return text[:i+1], text[i+1:]
			}
		}
	}
	return text, nil
}
