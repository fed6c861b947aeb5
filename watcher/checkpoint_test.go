package watcher

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"
)

func TestCheckpoint(t *testing.T) {
	at := time.Date(2026, 11, 30, 8, 0, 0, 123456000, time.UTC)
	registered := at.Add(-24 * time.Hour)
	key := Key{1400000001, "class"}
	for name, test := range map[string]struct {
		saved            Task // its times are those in its row
		polled, observed time.Time
		wantPolled       time.Time
		wantObserved     time.Time
	}{
		"polled and observed":             {Task{}, at.Add(-20 * time.Second), at.Add(-19 * time.Second), at.Add(-20 * time.Second), at.Add(-19 * time.Second)},
		"never observed":                  {Task{}, at.Add(-time.Microsecond), time.Time{}, at.Add(-time.Microsecond), time.Time{}},
		"never polled":                    {Task{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}},
		"observed long before":            {Task{}, at, at.Add(-time.Hour), at, at.Add(-time.Hour)},
		"a clock that was set back":       {Task{}, at.Add(3 * time.Hour), at.Add(2 * time.Hour), at.Add(3 * time.Hour), at.Add(2 * time.Hour)},
		"saved later":                     {Task{LastPolledAt: at, LastObservedAt: at}, at.Add(-time.Minute), at.Add(-time.Minute), at, at},
		"saved before":                    {Task{LastPolledAt: registered, LastObservedAt: registered}, at, at, at, at},
		"registered again since":          {Task{RegisteredAt: at}, at.Add(-time.Second), at.Add(-time.Second), time.Time{}, time.Time{}},
		"registered at the time of poll":  {Task{RegisteredAt: at}, at, at, at, at},
		"observed when it was registered": {Task{}, at, registered, at, registered},
	} {
		c := NewCheckpoint(at, 3)
		c.Add(Key{1400000001, "other"}, at.Add(-time.Hour), at.Add(-time.Hour))
		c.Add(key, test.polled, test.observed)
		c.Add(Key{1400000002, "class"}, at.Add(-2*time.Hour), at)
		times, err := ReadPollTimes(c.Text())
		if err != nil {
			t.Fatalf("%s: ReadPollTimes = %v", name, err)
		}
		task := test.saved
		task.Key = key
		if task.RegisteredAt.IsZero() {
			task.RegisteredAt = registered
		}
		if times.Apply(&task); !task.LastPolledAt.Equal(test.wantPolled) || !task.LastObservedAt.Equal(test.wantObserved) {
			t.Errorf("%s: Apply = polled %v, observed %v, want %v, %v", name, task.LastPolledAt, task.LastObservedAt, test.wantPolled, test.wantObserved)
		}
	}
}

// TestCheckpointSize checks that a thousand tasks take little room, and that each gets
// its own times.
func TestCheckpointSize(t *testing.T) {
	const n = 100_000
	at := time.Now()
	key := func(i int) Key { return Key{1400000001 + int64(i%7), fmt.Sprintf("task-%d", i)} }
	polled := func(i int) time.Time { return at.Add(-time.Duration(i) * time.Millisecond) }
	c := NewCheckpoint(at, n)
	for i := range n {
		c.Add(key(i), polled(i), polled(i).Add(30*time.Millisecond))
	}
	if got := len(c.Text()); got > 20*n {
		t.Errorf("%d tasks take %d bytes, want at most 20 each", n, got)
	}
	times, err := ReadPollTimes(c.Text())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		task := Task{Key: key(i)}
		if times.Apply(&task); task.LastPolledAt.UnixMicro() != polled(i).UnixMicro() {
			t.Fatalf("task %d was polled at %v, want %v", i, task.LastPolledAt, polled(i))
		}
	}
}

// FuzzReadPollTimes checks that no text breaks the reading, or takes more memory than
// it is long.
func FuzzReadPollTimes(f *testing.F) {
	c := NewCheckpoint(time.UnixMicro(1796020983000000), 2)
	c.Add(Key{1400000001, "a"}, time.UnixMicro(1796020982000000), time.Time{})
	c.Add(Key{1400000001, "b"}, time.UnixMicro(1796020981000000), time.UnixMicro(1796020981030000))
	f.Add(c.Text())
	f.Add("")
	f.Add("AQ")
	f.Add(base64.RawStdEncoding.EncodeToString([]byte{1, 0, 1, 2, 3, 4, 5, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0xff}))
	f.Fuzz(func(t *testing.T, text string) {
		times, err := ReadPollTimes(text)
		if err == nil && 8*len(times.all) > len(text) {
			t.Errorf("%d bytes of text have %d tasks", len(text), len(times.all))
		}
		for _, key := range []Key{{1400000001, "a"}, {1400000001, "b"}} {
			task := Task{Key: key}
			times.Apply(&task)
		}
	})
}
