package main

import (
	"encoding/json"
	"testing"
)

// added is the exceptions_added of an event's data.
func added(t testing.TB, data json.RawMessage) int {
	t.Helper()
	var d struct {
		ExceptionsAdded int `json:"exceptions_added"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d.ExceptionsAdded
}
