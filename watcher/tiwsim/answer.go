package tiwsim

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Answer is the answer for a task: Raw if set, else Err if set, else the eleven fields of the
// API page. A nil field has the form of Shape. RequestId is always added, except to Raw.
type Answer struct {
	FinishReason  *string
	TaskID        *string
	Status        *string
	RoomID        *int64
	GroupID       *string
	PushUserID    *string
	PushStartTime *int64 // Unix seconds
	PushStopTime  *int64 // Unix seconds
	ExceptionCnt  *int64
	IMSyncTime    *int64 // Unix seconds
	Backup        *string
	Shape         Shape

	// Fields replaces fields, also RequestId, by any JSON: Fields["RoomId"] = `"3b"`.
	Fields map[string]string
	// Omit leaves out fields.
	Omit []string

	Err *APIError
	Raw []byte // the whole body of the HTTP answer
}

// Shape is the form of a field without a value. The API page does not specify it, so a client
// must handle all.
type Shape string

// The shapes.
const (
	ShapeMixed  Shape = ""       // one of the others, random for each field of each answer
	ShapeNull   Shape = "null"   // null
	ShapeAbsent Shape = "absent" // the field is left out
	ShapeEmpty  Shape = "empty"  // "" or 0
)

// field is a member of a JSON object; value is JSON.
type field struct {
	name, value string
}

// render returns the body of an answer, its fields in random order.
func (s *Service) render(a Answer) []byte {
	if a.Raw != nil {
		return a.Raw
	}
	fields := []field{{"RequestId", quote(requestID())}}
	if a.Err != nil {
		problem := s.object([]field{{"Code", quote(a.Err.Code)}, {"Message", quote(a.Err.Message)}})
		fields = append(fields, field{"Error", problem})
	} else {
		fields = s.fields(a, fields)
	}
	return []byte(s.object([]field{{"Response", s.object(fields)}}))
}

// fields appends the fields of a task, and applies Fields and Omit.
func (s *Service) fields(a Answer, fields []field) []field {
	for _, f := range []struct {
		name   string
		text   *string
		number *int64
		zero   string
	}{
		{name: "FinishReason", text: a.FinishReason, zero: `""`},
		{name: "TaskId", text: a.TaskID, zero: `""`},
		{name: "Status", text: a.Status, zero: `""`},
		{name: "RoomId", number: a.RoomID, zero: "0"},
		{name: "GroupId", text: a.GroupID, zero: `""`},
		{name: "PushUserId", text: a.PushUserID, zero: `""`},
		{name: "PushStartTime", number: a.PushStartTime, zero: "0"},
		{name: "PushStopTime", number: a.PushStopTime, zero: "0"},
		{name: "ExceptionCnt", number: a.ExceptionCnt, zero: "0"},
		{name: "IMSyncTime", number: a.IMSyncTime, zero: "0"},
		{name: "Backup", text: a.Backup, zero: `""`},
	} {
		shape := a.Shape
		if shape == ShapeMixed {
			shape = []Shape{ShapeNull, ShapeAbsent, ShapeEmpty}[s.rng.IntN(3)]
		}
		switch {
		case f.text != nil:
			fields = append(fields, field{f.name, quote(*f.text)})
		case f.number != nil:
			fields = append(fields, field{f.name, strconv.FormatInt(*f.number, 10)})
		case shape == ShapeNull:
			fields = append(fields, field{f.name, "null"})
		case shape == ShapeEmpty:
			fields = append(fields, field{f.name, f.zero})
		}
	}
	fields = slices.DeleteFunc(fields, func(f field) bool {
		_, replaced := a.Fields[f.name]
		return replaced || slices.Contains(a.Omit, f.name)
	})
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) { // sorted, so that Seed alone decides the order
		fields = append(fields, field{name, a.Fields[name]})
	}
	return fields
}

func (s *Service) object(fields []field) string {
	s.rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	var b bytes.Buffer
	for i, f := range fields {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		b.WriteString(separator + strconv.Quote(f.name) + ":" + f.value)
	}
	b.WriteByte('}')
	return b.String()
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string cannot fail
	return string(quoted)
}

// requestID returns a random UUID (version 4), independent of Seed, so that runs differ.
func requestID() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
