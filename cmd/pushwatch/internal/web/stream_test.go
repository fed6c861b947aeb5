package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/watcher"
)

// journal is a store of events that takes them as fast as they come.
type journal struct {
	recent  // which nobody asks here
	mu      sync.Mutex
	padding string // in each body
	last    int64
	changed chan struct{}
}

type recent interface{ page.Events }

func newJournal(padding int) *journal {
	return &journal{padding: strings.Repeat("x", padding), changed: make(chan struct{})}
}

func (j *journal) add(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last += int64(n)
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

func (j *journal) LastEvents(context.Context) (watcher.Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last == 0 {
		return watcher.Position{}, nil
	}
	return watcher.Position{1: j.last}, nil
}

func (j *journal) Events(ctx context.Context, q watcher.EventQuery) (page watcher.EventPage, err error) {
	last, _ := j.LastEvents(ctx)
	if q.After[1] > last[1] {
		return page, watcher.ErrPosition
	}
	page.Next = watcher.Position{}
	if last[1] > 0 {
		page.Next[1] = min(last[1], q.After[1]+int64(q.Limit))
	}
	for n := q.After[1] + 1; n <= page.Next[1]; n++ {
		page.Events = append(page.Events, watcher.SavedEvent{Shard: 1, Number: n, Type: watcher.PushStopped, Body: fmt.Appendf(nil, `{"n":%d,"padding":%q}`, n, j.padding)})
	}
	return page, nil
}

// streams serves the streams of events over sockets.
func streams(t *testing.T, events Events, pace streamPace, log *zap.Logger) *httptest.Server {
	t.Helper()
	stopping := make(chan struct{})
	s := httptest.NewUnstartedServer(New(Config{Events: events, Metrics: prometheus.NewRegistry(), Stopping: stopping, Log: log, pace: pace}))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		c.(*net.TCPConn).SetWriteBuffer(32 << 10) // else the kernel would take megabytes for a reader that does not
		return ctx
	}
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(stopping) })
	return s
}

// A message is one of a stream, a comment too.
type message struct{ comment, id, event, data string }

// A reader reads a stream.
type reader struct {
	*bufio.Reader
	io.Closer
}

func connect(t *testing.T, s *httptest.Server, path string, header ...string) reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("GET %s = %s, %s, want a stream", path, answer.Status, kind)
	}
	return reader{bufio.NewReader(answer.Body), answer.Body}
}

func (r reader) next() (m message, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "":
			if line == "" {
				return m, nil
			}
			m.comment = value
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		default:
			return m, fmt.Errorf("line %q", line)
		}
	}
}

// nextEvent skips comments.
func (r reader) nextEvent() (message, error) {
	for {
		if m, err := r.next(); err != nil || m.data != "" {
			return m, err
		}
	}
}

// numbers reads events until number last, and fails where one is lost, repeated
// or out of order. It returns the cursor of the last.
func (r reader) numbers(after, last int) (cursor string, err error) {
	for want := after + 1; want <= last; want++ {
		m, err := r.nextEvent()
		if err != nil {
			return cursor, fmt.Errorf("after event %d: %w", want-1, err)
		}
		var body struct{ N int }
		if err := json.Unmarshal([]byte(m.data), &body); err != nil || body.N != want || m.event != "push.stopped" {
			return cursor, fmt.Errorf("event %+v, want number %d", m, want)
		}
		cursor = m.id
	}
	return cursor, nil
}

func TestStream(t *testing.T) {
	j := newJournal(10)
	s := streams(t, j, streamPace{batchDelay: time.Millisecond}, nil)
	j.add(3)
	r := connect(t, s, "/v1/events/stream")
	cursor, err := r.numbers(0, 3)
	if err != nil {
		t.Fatal(err)
	}
	j.add(200)
	if _, err := r.numbers(3, 203); err != nil {
		t.Error(err)
	}
	r.Close()

	// From where a reader was, by either way; the header counts more.
	for _, r := range []reader{
		connect(t, s, "/v1/events/stream?after="+cursor),
		connect(t, s, "/v1/events/stream", "Last-Event-ID: "+cursor),
		connect(t, s, "/v1/events/stream?after=now", "Last-Event-ID: "+cursor),
	} {
		if _, err := r.numbers(3, 203); err != nil {
			t.Error(err)
		}
	}

	// From now on: the first message says where that is.
	r = connect(t, s, "/v1/events/stream?after=now")
	m, err := r.next()
	if err != nil || m.comment == "" || m.id == "" || m.data != "" {
		t.Fatalf("begins with %+v, %v, want a comment and an id", m, err)
	}
	j.add(1)
	if _, err := r.numbers(203, 204); err != nil {
		t.Error(err)
	}
	if _, err := connect(t, s, "/v1/events/stream?after="+m.id).numbers(203, 204); err != nil {
		t.Error(err)
	}
}

// TestStreamHead asks for nothing but the head of a stream: it has an end.
func TestStreamHead(t *testing.T) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, streams(t, newJournal(1), streamPace{}, nil).URL+"/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // on one connection
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
			t.Errorf("HEAD = %d %q, want 200 and text/event-stream", answer.StatusCode, got)
		}
	}
}

// TestStreamAlive holds that a stream without events is not silent, and that it
// sees what another process has saved.
func TestStreamAlive(t *testing.T) {
	j := newJournal(10)
	r := connect(t, streams(t, j, streamPace{keepAlive: 10 * time.Millisecond, pollEvery: 10 * time.Millisecond}, nil), "/v1/events/stream")
	for i := range 5 {
		if m, err := r.next(); err != nil || m.comment == "" || m.data != "" {
			t.Fatalf("message %d = %+v, %v, want a comment", i, m, err)
		}
	}
	j.mu.Lock()
	j.last++ // nobody is told
	j.mu.Unlock()
	if _, err := r.numbers(0, 1); err != nil {
		t.Error(err)
	}
}

func TestStreamStops(t *testing.T) {
	stopping := make(chan struct{})
	s := httptest.NewServer(New(Config{Events: newJournal(1), Metrics: prometheus.NewRegistry(), Stopping: stopping}))
	defer s.Close()
	r := connect(t, s, "/v1/events/stream")
	r.next()
	close(stopping)
	m, err := r.next()
	if err != nil || !strings.Contains(m.comment, "is stopping") {
		t.Errorf("at the end = %+v, %v, want to be told", m, err)
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("after the end = %v, want %v", err, io.EOF)
	}
}

// TestStreamToken holds that a stream ends when the token that opened it is taken
// away, and no other does.
func TestStreamToken(t *testing.T) {
	first, second := NewToken("first", "a-first-token", Read), NewToken("second", "a-second-token", Read)
	j := newJournal(1)
	stopping := make(chan struct{})
	h := New(Config{Events: j, Metrics: prometheus.NewRegistry(), Stopping: stopping, Tokens: []Token{first, second}})
	s := httptest.NewServer(h)
	defer s.Close()
	defer close(stopping)
	open := func(secret string) reader {
		r := connect(t, s, "/v1/events/stream", "Authorization: Bearer "+secret)
		if m, err := r.next(); err != nil || m.comment == "" {
			t.Fatalf("begins with %+v, %v, want a comment", m, err)
		}
		return r
	}
	taken, kept := open("a-first-token"), open("a-second-token")
	h.SetTokens([]Token{NewToken("renamed", "a-second-token", Write), NewToken("first", "another-first-token", Read)})
	m, err := taken.next()
	if err != nil || !strings.Contains(m.comment, "no longer valid") {
		t.Errorf("the stream of a changed token = %+v, %v, want to be told", m, err)
	}
	if _, err := taken.next(); err != io.EOF {
		t.Errorf("after that = %v, want %v", err, io.EOF)
	}
	j.add(3)
	if _, err := kept.numbers(0, 3); err != nil {
		t.Errorf("the stream of a token that stays: %v", err)
	}
	h.SetTokens([]Token{first})
	if m, err := kept.next(); err != nil || !strings.Contains(m.comment, "no longer valid") {
		t.Errorf("the stream of a token that is gone = %+v, %v, want to be told", m, err)
	}
}

// TestManyStreams has a hundred readers follow while ten thousand events pass.
// What is held for them all is less than what one page each takes.
func TestManyStreams(t *testing.T) {
	const readers, size = 100, 200
	total := 10_000
	if raced {
		total = 1_000
	}
	j := newJournal(size)
	s := streams(t, j, streamPace{writeTimeout: time.Minute}, nil)
	var all sync.WaitGroup
	for range readers {
		r := connect(t, s, "/v1/events/stream")
		all.Go(func() {
			if err := r.count(total); err != nil {
				t.Error(err)
			}
		})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 20 {
		j.add(total / 20)
	}
	all.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > readers*streamPage*size {
		t.Errorf("the heap has grown by %d KiB, want no more than a page for each reader", grown>>10)
	}
}

// count reads events until number last as cheaply as it can, and fails where one
// is lost, repeated or out of order.
func (r reader) count(last int) error {
	for want := 1; want <= last; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("before event %d: %w", want, err)
		}
		if data, ok := bytes.CutPrefix(line, []byte(`data: {"n":`)); ok {
			number, _, _ := bytes.Cut(data, []byte(","))
			if got, err := strconv.Atoi(string(number)); got != want {
				return fmt.Errorf("event %d, %v, want %d", got, err, want)
			}
			want++
		}
	}
	return nil
}

// TestSlowReader has a reader not read: it is cut off, told why in the log, goes
// on later, and has all.
func TestSlowReader(t *testing.T) {
	const total = 20_000
	j := newJournal(1000)
	j.add(total)
	core, logs := observer.New(zap.WarnLevel)
	s := streams(t, j, streamPace{writeTimeout: 200 * time.Millisecond}, zap.New(core))
	slow := connect(t, s, "/v1/events/stream")
	for deadline := time.Now().Add(time.Minute); logs.Len() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the reader that does not read was not cut off")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := logs.All()[0]; got.Level != zap.WarnLevel || got.ContextMap()["write_timeout"] != 200*time.Millisecond {
		t.Errorf("log = %s %v, want a warning with the timeout", got.Level, got.ContextMap())
	}
	cursor, seen := "", 0
	for {
		m, err := slow.nextEvent()
		if err != nil {
			break
		}
		cursor = m.id
		seen++
	}
	if seen == 0 || seen == total {
		t.Fatalf("the reader was sent %d events, want some of %d", seen, total)
	}
	page, err := readEventCursor(cursor)
	if err != nil || page[1] != int64(seen) {
		t.Errorf("cursor of event %d = %v, %v", seen, page, err)
	}
	r := connect(t, streams(t, j, streamPace{}, nil), "/v1/events/stream", "Last-Event-ID: "+cursor)
	if _, err := r.numbers(seen, min(total, seen+500)); err != nil {
		t.Errorf("the slow reader goes on after event %d: %v", seen, err)
	}
}
