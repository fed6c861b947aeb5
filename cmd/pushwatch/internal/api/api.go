// Package api defines the JSON of the HTTP API, requests and answers, as Go types. Package
// web and the commands share it. Tags such as doc and example go into /openapi.json.
//
// Times are UTC. A nil pointer is null.
package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// A Problem is the body of every error, as RFC 9457 defines it.
type Problem = huma.ErrorModel

// A Fault is a wrong part of a request, with what would be right.
type Fault = huma.ErrorDetail

// An Optional is a field of a request for which null differs from an absent field.
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
