package notifytest_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"pushwatch/notify/notifytest"
)

// came returns a delivery of an event.
func came(id, subject string, sequence int64) notifytest.Delivery {
	return notifytest.Delivery{
		ID:    id,
		Body:  []byte("body of " + id),
		Event: notifytest.Event{ID: id, Subject: subject, Sequence: sequence},
	}
}

func TestCheck(t *testing.T) {
	altered := came("msg_1", "a", 1)
	altered.Body = []byte("altered")
	forged := came("msg_1", "a", 1)
	forged.Err = errors.New("not genuine")

	tests := []struct {
		name string
		in   []notifytest.Delivery
		want []string // one in each fault, in order
	}{
		{"nothing", nil, nil},
		{"in order", []notifytest.Delivery{came("msg_1", "a", 1), came("msg_2", "a", 2), came("msg_3", "a", 3)}, nil},
		{"subjects mixed", []notifytest.Delivery{came("msg_1", "a", 1), came("msg_2", "b", 1), came("msg_3", "a", 2)}, nil},
		{"suffix repeated", []notifytest.Delivery{came("msg_1", "a", 1), came("msg_2", "a", 2), came("msg_1", "a", 1), came("msg_2", "a", 2)}, nil},
		{"events of no task", []notifytest.Delivery{came("msg_1", "", 0), came("msg_2", "", 0)}, nil},
		{"gap", []notifytest.Delivery{came("msg_1", "a", 1), came("msg_3", "a", 3), came("msg_4", "a", 4)}, []string{"delivery 2, msg_3: a: sequence 3, want 2"}},
		{"start lost", []notifytest.Delivery{came("msg_2", "a", 2)}, []string{"sequence 2, want 1"}},
		{"order", []notifytest.Delivery{came("msg_2", "a", 2), came("msg_1", "a", 1)}, []string{"sequence 2, want 1", "sequence 1, want 3"}},
		{"two bodies", []notifytest.Delivery{came("msg_1", "a", 1), altered}, []string{"delivery 2, msg_1: its body differs"}},
		{"two ids", []notifytest.Delivery{came("msg_1", "a", 1), came("msg_x", "a", 1)}, []string{"delivery 2, msg_x: msg_1 was a, sequence 1, already"}},
		{"forged", []notifytest.Delivery{forged, altered}, []string{"delivery 1, msg_1: not genuine"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := notifytest.Check(tt.in)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tt.want) {
				t.Fatalf("Check = %q, want %d faults", got, len(tt.want))
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("fault %d = %q, want %q in it", i, got[i], want)
				}
			}
		})
	}
}

func TestCheckSummary(t *testing.T) {
	got, err := notifytest.Check([]notifytest.Delivery{
		came("msg_1", "a", 1), came("msg_2", "a", 2), came("msg_2", "a", 2), came("msg_3", "b", 1), came("msg_4", "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Deliveries != 5 || got.Events != 4 || got.Repeats != 1 || !maps.Equal(got.Last, map[string]int64{"a": 2, "b": 1}) {
		t.Errorf("Check = %+v, want 5 deliveries, 4 events, 1 repeat, last a:2 b:1", got)
	}
}

// After a fault too, Last is the highest and not the latest.
func TestCheckSummaryWithFaults(t *testing.T) {
	got, err := notifytest.Check([]notifytest.Delivery{came("msg_2", "a", 2), came("msg_1", "a", 1)})
	if err == nil || got.Last["a"] != 2 {
		t.Errorf("Check = last %d, %v, want 2 and faults", got.Last["a"], err)
	}
}

func TestCheckCutsFaults(t *testing.T) {
	var in []notifytest.Delivery
	for range 1000 {
		in = append(in, notifytest.Delivery{Err: errors.New("not genuine")})
	}
	_, err := notifytest.Check(in)
	if err == nil {
		t.Fatal("Check = nil, want faults")
	}
	lines := strings.Split(err.Error(), "\n")
	if last := lines[len(lines)-1]; len(lines) != 11 || last != "and 990 more faults" {
		t.Errorf("Check = %d lines, the last %q, want 11 and 990 more faults", len(lines), last)
	}
}
