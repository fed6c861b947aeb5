package main

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher/loop"
)

const (
	// maxLogPending is the largest size of the pending log, in bytes.
	maxLogPending = 1 << 20
	// logFlush is how long the process waits for its last log lines when it ends.
	logFlush = 2 * time.Second
)

// A logWriter writes the log in the background, so that a blocked pipe blocks nothing in
// the daemon. Lines beyond maxLogPending, and lines that cannot be written, are dropped and
// counted. It is a [zapcore.WriteSyncer].
type logWriter struct {
	out  io.Writer
	wake loop.Signal

	mu      sync.Mutex
	pending []byte // complete lines
	writing bool   // run has taken lines and not written them yet
	lost    int64  // lines
}

// newLogWriter returns a writer whose goroutine runs until the process ends.
func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, wake: loop.NewSignal()}
	go w.run()
	return w
}

// Write queues a line. It never blocks and never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.pending)+len(line) > maxLogPending {
		w.lost++
	} else {
		w.pending = append(w.pending, line...)
	}
	w.mu.Unlock()
	w.wake.Notify()
	return len(line), nil
}

// run writes pending lines. It never returns.
func (w *logWriter) run() {
	var batch []byte
	for range w.wake {
		for {
			w.mu.Lock()
			batch, w.pending = w.pending, batch[:0]
			w.writing = len(batch) > 0
			w.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			if n, err := w.out.Write(batch); err != nil {
				w.mu.Lock()
				w.lost += int64(bytes.Count(batch[n:], []byte("\n")))
				w.mu.Unlock()
			}
		}
	}
}

// Sync waits until all lines are written, for logFlush at most.
func (w *logWriter) Sync() error {
	written := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.pending) == 0 && !w.writing
	}
	for end := time.Now().Add(logFlush); !written() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// metric returns the counter of dropped lines.
func (w *logWriter) metric() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "pushwatch_log_lines_lost_total",
		Help: "Log lines that could not be written because the pipe is blocked or closed, or the disk is full.",
	}, func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return float64(w.lost)
	})
}
