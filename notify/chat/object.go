package chat

import (
	"bytes"
	"encoding/json"
	"time"

	"pushwatch/notify"
)

// An object is the outermost level of a JSON object, as far as it was received. An answer
// may break off, or be longer than what is read of it, and still begin with what the
// service says.
type object map[string]json.RawMessage

// readObject returns nil if body is not a JSON object.
func readObject(body []byte) object {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	o := make(object)
	for decoder.More() {
		key, err := decoder.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			break
		}
		var value json.RawMessage
		err = decoder.Decode(&value)
		o[name] = value // nil: it is incomplete
		if err != nil {
			break
		}
	}
	return o
}

func (o object) has(name string) bool { _, ok := o[name]; return ok }

// text returns a member as text.
func (o object) text(name string) (s string) {
	json.Unmarshal(o[name], &s) // "" if it is none
	return s
}

// number returns a member as a number, which some services send as text.
func (o object) number(name string) (n float64, ok bool) {
	ok = json.Unmarshal(bytes.Trim(o[name], `"`), &n) == nil
	return n, ok
}

// code returns a member as a whole number.
func (o object) code(name string) (code int64, ok bool) {
	n, ok := o.number(name)
	return int64(n), ok && n == float64(int64(n))
}

// seconds returns a member, a number of seconds, as a duration.
func (o object) seconds(name string) time.Duration {
	n, _ := o.number(name)
	return time.Duration(max(0, min(n, notify.MaxPause.Seconds())) * float64(time.Second))
}

// object returns a member as an object.
func (o object) object(name string) object { return readObject(o[name]) }

// isTrue reports whether a member is true.
func (o object) isTrue(name string) bool { return string(o[name]) == "true" }

// holds reports whether a member is there and not empty, complete or not.
func (o object) holds(name string) bool {
	value, ok := o[name]
	return ok && string(value) != "null" && string(value) != `""`
}
