package watcher

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
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
	c.data = append(c.data, binary.BigEndian.AppendUint64(nil, key.hash())[2:]...)
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
	h := fnv.New64a()
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(k.SDKAppID)))
	io.WriteString(h, k.TaskID)
	return h.Sum64() >> 16
}

// PollTimes are the contents of a saved [Checkpoint]. The zero value is empty.
type PollTimes struct{ all map[uint64]pollTime } // by hash

type pollTime struct{ polled, observed int64 } // unix microseconds; observed 0: never

// ReadPollTimes reads the text of a checkpoint.
func ReadPollTimes(text string) (PollTimes, error) {
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return PollTimes{}, fmt.Errorf("read checkpoint: %w", err)
	}
	if len(data) == 0 || data[0] != checkpointVersion {
		return PollTimes{}, errors.New("read checkpoint: not of a known version")
	}
	r := bytes.NewReader(data[1:])
	at, err := binary.ReadVarint(r)
	times := make(map[uint64]pollTime, len(data)/13)
	for err == nil && r.Len() > 0 {
		err = readPollTime(r, at, times)
	}
	if err != nil {
		return PollTimes{}, fmt.Errorf("read checkpoint: it is cut off: %w", err)
	}
	return PollTimes{times}, nil
}

// readPollTime reads what [Checkpoint.Add] adds to a checkpoint of the given time.
func readPollTime(r *bytes.Reader, at int64, into map[uint64]pollTime) error {
	var hash [8]byte
	_, failed := io.ReadFull(r, hash[2:])
	ago, err := binary.ReadVarint(r)
	later, last := binary.ReadUvarint(r)
	t := pollTime{polled: at - ago}
	if later > 0 {
		later--
		t.observed = t.polled + (int64(later>>1) ^ -int64(later&1))
	}
	into[binary.BigEndian.Uint64(hash[:])] = t
	return cmp.Or(failed, err, last)
}

// Apply sets the times of a task to those of the checkpoint if these are later. Times from
// before the task was registered again do not count.
func (p PollTimes) Apply(t *Task) {
	saved, found := p.all[t.Key.hash()]
	if !found || saved.polled < t.RegisteredAt.UnixMicro() {
		return
	}
	if polled := time.UnixMicro(saved.polled).UTC(); polled.After(t.LastPolledAt) {
		t.LastPolledAt = polled
	}
	if observed := time.UnixMicro(saved.observed).UTC(); saved.observed != 0 && observed.After(t.LastObservedAt) {
		t.LastObservedAt = observed
	}
}
