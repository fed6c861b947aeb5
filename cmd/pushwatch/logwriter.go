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
	// maxLogPending is how many bytes of the log wait to be written at most.
	maxLogPending = 1 << 20
	// logFlush is how long the end of the process waits for its last lines.
	logFlush = 2 * time.Second
)

// A logWriter writes the log's lines in the background, so that nothing in the daemon
// waits for a pipe that nobody reads. Lines beyond maxLogPending, and lines that cannot be
// written, are lost and counted. It is a [zapcore.WriteSyncer].
type logWriter struct {
	out  io.Writer
	wake loop.Signal

	mu      sync.Mutex
	pending []byte        // whole lines
	writing bool          // the background has taken lines and not yet written them
	idle    chan struct{} // closed when all is written; nil: nobody waits
	lost    int64         // lines
}

// newLogWriter returns a writer that lives as long as the process.
func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, wake: loop.NewSignal()}
	go w.run()
	return w
}

// Write takes a line. It never waits and never fails.
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

// run writes what is pending, for ever.
func (w *logWriter) run() {
	var batch []byte
	for range w.wake {
		for {
			w.mu.Lock()
			batch, w.pending = w.pending, batch[:0]
			w.writing = len(batch) > 0
			if !w.writing && w.idle != nil {
				close(w.idle)
				w.idle = nil
			}
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

// Sync waits until all lines are written, or for logFlush.
func (w *logWriter) Sync() error {
	w.mu.Lock()
	if len(w.pending) == 0 && !w.writing {
		w.mu.Unlock()
		return nil
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(logFlush):
	}
	return nil
}

// metric counts the lines that were lost.
func (w *logWriter) metric() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "pushwatch_log_lines_lost_total",
		Help: "Lines of the log that could not be written: nobody reads its pipe, or its disk is full.",
	}, func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return float64(w.lost)
	})
}
