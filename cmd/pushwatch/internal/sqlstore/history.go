package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pushwatch/watcher"
)

// Changed returns a channel that is closed when this process next saves an event or, as a
// [Replica], learns that another did.
func (db *DB) Changed() <-chan struct{} {
	db.changing.Lock()
	defer db.changing.Unlock()
	return db.changed
}

// notifyChanged closes the channel of [DB.Changed].
func (db *DB) notifyChanged() {
	db.changing.Lock()
	defer db.changing.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
}

// LastEvents returns the position of the newest event of each account.
func (db *DB) LastEvents(ctx context.Context) (watcher.Position, error) {
	last, err := pairs[int64, int64](ctx, db, `SELECT shard, last_event FROM accounts WHERE last_event > 0`)
	return last, wrap(err, "read last events")
}

// Events reads a page of events; [watcher.ErrPosition] if the query begins past the
// newest event of an account.
//
// It first reads each account's newest number, up to which all events are committed, and
// reads no further. So a page cannot pass an event that is committed later.
func (db *DB) Events(ctx context.Context, q watcher.EventQuery) (watcher.EventPage, error) {
	last, err := db.LastEvents(ctx)
	if err != nil {
		return watcher.EventPage{}, err
	}
	for shard, number := range q.After {
		if number > last[shard] {
			return watcher.EventPage{}, fmt.Errorf("read events: %w", watcher.ErrPosition)
		}
	}
	limit := cmp.Or(q.Limit, defaultPage)
	var shards []*shardReader
	for _, shard := range slices.Sorted(maps.Keys(last)) {
		if after := q.After[shard]; after < last[shard] {
			shards = append(shards, &shardReader{db: db, query: q, shard: shard, after: after, last: last[shard]})
		}
	}
	for _, s := range shards { // little more than the limit is read, for any number of shards
		s.chunk = limit/len(shards) + 1
	}
	var page watcher.EventPage
	for len(page.Events) < limit {
		next, err := nextShard(ctx, shards)
		if err != nil {
			return watcher.EventPage{}, fmt.Errorf("read events: %w", err)
		}
		if next == nil {
			break
		}
		page.Events = append(page.Events, next.take())
	}
	if q.Newest {
		slices.Reverse(page.Events)
		page.Next = last
		return page, nil
	}
	page.Next = make(watcher.Position, len(last))
	maps.Copy(page.Next, q.After)
	for _, s := range shards {
		if at := s.position(); at > 0 {
			page.Next[s.shard] = at
		}
	}
	return page, nil
}

// nextShard returns the shard whose next event was observed first (last, if the newest
// are read); nil: no shard has one.
func nextShard(ctx context.Context, shards []*shardReader) (*shardReader, error) {
	var found *shardReader
	for _, s := range shards {
		if err := s.fill(ctx); err != nil {
			return nil, err
		}
		if len(s.ahead) > 0 && (found == nil || s.before(found)) {
			found = s
		}
	}
	return found, nil
}

// A shardReader reads the events of one shard in ascending order of their numbers, or in
// descending order if the newest are wanted.
type shardReader struct {
	db    *DB
	query watcher.EventQuery
	shard int64
	after int64 // the events above this number are not taken yet
	last  int64 // up to this one
	chunk int   // how many are read at once

	ahead []watcher.RecentEvent // read, and not taken yet
	whole bool                  // nothing is left to read beyond ahead
}

// take removes and returns the next event, which fill must have read.
func (s *shardReader) take() watcher.SavedEvent {
	e := s.ahead[0].SavedEvent
	s.ahead = s.ahead[1:]
	if s.query.Newest {
		s.last = e.Number - 1
	} else {
		s.after = e.Number
	}
	return e
}

// before reports whether the next event of s comes before that of other.
func (s *shardReader) before(other *shardReader) bool {
	if s.query.Newest {
		s, other = other, s
	}
	return s.ahead[0].At.Before(other.ahead[0].At)
}

// position returns the number up to which all events are taken.
func (s *shardReader) position() int64 {
	if s.whole && len(s.ahead) == 0 {
		return s.last
	}
	return s.after
}

// fill reads the next events if none are in memory.
func (s *shardReader) fill(ctx context.Context) error {
	if s.whole || len(s.ahead) > 0 {
		return nil
	}
	query, args := s.statement()
	var err error
	s.ahead, err = list(ctx, s.db, decodeEvent, query, args...)
	s.whole = len(s.ahead) < s.chunk
	return err
}

// statement returns the query of the next chunk. It reads each type through an index and
// merges them: so a rare type is found quickly among many events, and no more than the
// chunk is read of a frequent one.
func (s *shardReader) statement() (query string, args []any) {
	if s.query.Subject != "" {
		return s.ofSubject()
	}
	types := slices.Compact(slices.Sorted(slices.Values(s.query.Types))) // a type given twice would repeat its events
	if len(types) == 0 || len(types) == len(watcher.EventTypes) {
		return s.chunkOf("", new(where))
	}
	var parts []string
	for _, t := range types {
		// In this form only one index fits, so a planner without statistics cannot
		// choose another.
		parts = append(parts, fmt.Sprintf(`SELECT `+eventColumns+` FROM events
			WHERE (shard, type, number) > (?, ?, ?) AND (shard, type, number) <= (?, ?, ?)
			ORDER BY shard%[1]s, type%[1]s, number%[1]s LIMIT ?`, s.order()))
		args = append(args, s.shard, string(t), s.after, s.shard, string(t), s.last, s.chunk)
	}
	return s.merge(parts), append(args, s.chunk)
}

// merge returns the query that merges the chunks of the parts.
func (s *shardReader) merge(parts []string) string {
	for i := range parts {
		parts[i] = fmt.Sprintf(`SELECT * FROM (%s) AS t%d`, parts[i], i)
	}
	return `SELECT ` + eventColumns + ` FROM (` + strings.Join(parts, " UNION ALL ") + `) AS merged ORDER BY number` + s.order() + ` LIMIT ?`
}

// ofSubject returns the statement for a subject. A subject that names a task can also be
// that of events without a task: of its dead letters, or of an application of an account
// whose name is a number. The "+" keeps SQLite from scanning the shard, because another
// index leads to few rows.
func (s *shardReader) ofSubject() (query string, args []any) {
	with := func(condition string, values ...any) *where {
		w := new(where)
		w.and(`subject = ?`, s.query.Subject)
		oneOf(w, `type`, s.query.Types)
		w.and(condition, values...)
		return w
	}
	query, args = s.chunkOf("", with(`sdk_app_id IS NULL`))
	app, task, _ := strings.Cut(s.query.Subject, "/")
	id, err := strconv.ParseInt(app, 10, 64)
	if err != nil || task == "" {
		return query, args
	}
	tasks, ofTasks := s.chunkOf("+", with(`sdk_app_id = ? AND task_id = ?`, id, task))
	return s.merge([]string{tasks, query}), slices.Concat(ofTasks, args, []any{s.chunk})
}

// chunkOf returns the query of the next chunk of events with some conditions. With the sign
// "+" no index of shard and number is used.
func (s *shardReader) chunkOf(sign string, w *where) (string, []any) {
	w.and(sign+`shard = ? AND `+sign+`number > ? AND `+sign+`number <= ?`, s.shard, s.after, s.last)
	return `SELECT ` + eventColumns + ` FROM events` + w.String() + ` ORDER BY ` + sign + `number` + s.order() + ` LIMIT ?`, append(w.args, s.chunk)
}

func (s *shardReader) order() string {
	if s.query.Newest {
		return " DESC"
	}
	return ""
}
