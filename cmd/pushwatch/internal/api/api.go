// Package api is the JSON of the HTTP API as Go types: what requests carry, and what
// answers and errors look like. Package web writes it and the commands read it, so each
// type is defined once. Tags such as doc and example describe it in /openapi.json.
//
// Times are UTC. A pointer is null where there is no value.
package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// A Problem is the body of every error, as RFC 9457 has it.
type Problem = huma.ErrorModel

// A Fault is a part of a request that is wrong, and what would be right.
type Fault = huma.ErrorDetail

// An Optional field of a request distinguishes null from a field that is left out.
type Optional[T any] struct {
	Given bool
	Value T // the zero value for null
}

// UnmarshalJSON implements [json.Unmarshaler].
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.Given = true
	return json.Unmarshal(data, &o.Value)
}

// Schema implements [huma.SchemaProvider].
func (Optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := r.Schema(reflect.TypeFor[T](), true, "")
	s.Nullable = true
	return s
}
