package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A logLine is the fields of one line of a daemon's log, its level and message included.
type logLine map[string]any

// logged returns the lines with a level, a message and, as text, all of the fields given
// as key and value by turns.
func (p *process) logged(level, message string, fields ...string) []logLine {
	var found []logLine
	for line := range strings.Lines(p.log.String()) {
		var l logLine
		if json.Unmarshal([]byte(line), &l) == nil && l["level"] == level && l["msg"] == message && l.has(fields) {
			found = append(found, l)
		}
	}
	return found
}

func (l logLine) has(fields []string) bool {
	for i := 0; i < len(fields); i += 2 {
		if fmt.Sprint(l[fields[i]]) != fields[i+1] {
			return false
		}
	}
	return true
}

// awaitLogged waits until the process has logged so many such lines, and returns them.
func (p *process) awaitLogged(t *testing.T, times int, level, message string, fields ...string) []logLine {
	t.Helper()
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		if found := p.logged(level, message, fields...); len(found) >= times {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log has fewer than %d lines %s %q %v:\n%s", times, level, message, fields, p.log)
		}
	}
}
