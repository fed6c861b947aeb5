package web

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"

	"pushwatch/watcher"
)

// Cursors are opaque to clients. A cursor of tasks is the last key. A cursor of events is a
// position: a format byte, and a pair of numbers per account with events, which takes about
// three bytes.

var errCursor = errors.New("want a cursor from an answer, unchanged")

func taskCursor(k watcher.Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.String()))
}

func readTaskCursor(s string) (k watcher.Key, err error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		k, err = watcher.ParseKey(string(text))
	}
	if err != nil {
		return k, errCursor
	}
	return k, nil
}

// eventCursorFormat is the first byte of a cursor of events. Another format would have
// another.
const eventCursorFormat = 1

func eventCursor(p watcher.Position) string {
	b := []byte{eventCursorFormat}
	var before int64
	for _, shard := range slices.Sorted(maps.Keys(p)) {
		b = binary.AppendUvarint(b, uint64(shard-before))
		b = binary.AppendUvarint(b, uint64(p[shard]))
		before = shard
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func readEventCursor(s string) (watcher.Position, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != eventCursorFormat {
		return nil, errCursor
	}
	p := make(watcher.Position)
	var shard uint64
	for b = b[1:]; len(b) > 0; {
		step, n := binary.Uvarint(b)
		if n <= 0 || step == 0 || step > math.MaxInt64-shard {
			return nil, errCursor
		}
		b, shard = b[n:], shard+step
		number, n := binary.Uvarint(b)
		if n <= 0 || number == 0 || number > math.MaxInt64 {
			return nil, errCursor
		}
		b = b[n:]
		p[int64(shard)] = int64(number)
	}
	return p, nil
}

// onePage returns a page of a list. found was queried with one more than the limit: if that
// many were found there is a next page, which begins after the last item of this one.
func onePage[T, Shown any](found []T, limit int, show func(T) Shown, cursor func(T) string) (page []Shown, next string) {
	if len(found) > limit {
		found = found[:limit]
		next = cursor(found[limit-1])
	}
	page = make([]Shown, len(found))
	for i, one := range found {
		page[i] = show(one)
	}
	return page, next
}
