package watcher

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Checkpoint holds when an account's live tasks were last polled and observed, so that
// polling resumes after a restart where it was. It is written often and so is compact: about
// 18 bytes a task, as text. A task is named by a 48-bit hash of its key. Two of 100,000 tasks
// share one in one account of 50,000; a restart may then mix up their times.
type Checkpoint struct {
	data []byte
	at   time.Time
}

// checkpointVersion is the first byte of a checkpoint.
const checkpointVersion = 1

// NewCheckpoint returns an empty checkpoint of the given time, with room for some tasks.
func NewCheckpoint(at time.Time, tasks int) *Checkpoint {
	data := append(make([]byte, 0, 16+14*tasks), checkpointVersion)
	return &Checkpoint{binary.AppendVarint(data, at.UnixMicro()), at}
}

// Add adds a task, unless it was never polled.
func (c *Checkpoint) Add(key Key, polled, observed time.Time) {
	if polled.IsZero() {
		return
	}
	c.data = append48(c.data, key.hash())
	c.data = binary.AppendVarint(c.data, c.at.UnixMicro()-polled.UnixMicro())
	if observed.IsZero() {
		c.data = append(c.data, 0)
		return
	}
	later := observed.UnixMicro() - polled.UnixMicro()
	c.data = binary.AppendUvarint(c.data, 1+(uint64(later<<1)^uint64(later>>63))) // 0 stands for never
}

// Text returns the checkpoint as it is stored.
func (c *Checkpoint) Text() string { return base64.RawStdEncoding.EncodeToString(c.data) }

// hash is the first 48 bits of FNV-1a over a key: the same in every process.
func (k Key) hash() uint64 {
	h := uint64(0xcbf29ce484222325)
	for shift := 0; shift < 64; shift += 8 {
		h = (h ^ uint64(k.SDKAppID)>>shift&0xff) * 0x100000001b3
	}
	for i := range len(k.TaskID) {
		h = (h ^ uint64(k.TaskID[i])) * 0x100000001b3
	}
	return h >> 16
}

func append48(b []byte, h uint64) []byte {
	return append(b, byte(h>>40), byte(h>>32), byte(h>>24), byte(h>>16), byte(h>>8), byte(h))
}

// PollTimes are the contents of a saved [Checkpoint]. The zero value is empty.
type PollTimes struct{ all []pollTime } // sorted by hash

type pollTime struct {
	hash             uint64
	polled, observed int64 // unix microseconds; observed 0: never
}

// ReadPollTimes reads the text of a checkpoint.
func ReadPollTimes(text string) (PollTimes, error) {
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return PollTimes{}, fmt.Errorf("read checkpoint: %w", err)
	}
	if len(data) == 0 || data[0] != checkpointVersion {
		return PollTimes{}, errors.New("read checkpoint: not of a known version")
	}
	r := reader{data: data[1:]}
	at := r.varint()
	times := make([]pollTime, 0, len(data)/13)
	for len(r.data) > 0 {
		t := pollTime{hash: r.uint48(), polled: at - r.varint()}
		if later := r.uvarint(); later > 0 {
			later--
			t.observed = t.polled + (int64(later>>1) ^ -int64(later&1))
		}
		times = append(times, t)
	}
	if r.short {
		return PollTimes{}, errors.New("read checkpoint: it is cut off")
	}
	slices.SortFunc(times, func(a, b pollTime) int { return cmp.Compare(a.hash, b.hash) })
	return PollTimes{times}, nil
}

// Apply sets the times of a task to those of the checkpoint if these are later. Times from
// before the task was registered again do not count.
func (p PollTimes) Apply(t *Task) {
	i, found := slices.BinarySearchFunc(p.all, t.Key.hash(), func(e pollTime, h uint64) int { return cmp.Compare(e.hash, h) })
	if !found || p.all[i].polled < t.RegisteredAt.UnixMicro() {
		return
	}
	if polled := time.UnixMicro(p.all[i].polled).UTC(); polled.After(t.LastPolledAt) {
		t.LastPolledAt = polled
	}
	if e := p.all[i]; e.observed != 0 {
		if observed := time.UnixMicro(e.observed).UTC(); observed.After(t.LastObservedAt) {
			t.LastObservedAt = observed
		}
	}
}

// A reader reads numbers until the data ends within one: then short is set.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n <= 0 || n > len(r.data) {
		r.data, r.short = nil, true
		return nil
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	r.take(n)
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	r.take(n)
	return v
}

func (r *reader) uint48() (h uint64) {
	for _, b := range r.take(6) {
		h = h<<8 | uint64(b)
	}
	return h
}
