package web

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// tallyEvery is how long a tally counts before it logs.
const tallyEvery = time.Minute

// A tally counts events that clients can cause without limit, and logs the count at most
// once a minute.
type tally struct {
	log     *zap.Logger
	level   zapcore.Level
	message string

	mu      sync.Mutex
	count   int
	example []zap.Field // of the last one counted
}

func newTally(log *zap.Logger, level zapcore.Level, message string) *tally {
	return &tally{log: log, level: level, message: message}
}

// add counts an event. The fields describe it.
func (t *tally) add(example ...zap.Field) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		time.AfterFunc(tallyEvery, t.flush)
	}
	t.count++
	t.example = example
}

func (t *tally) flush() {
	t.mu.Lock()
	count, example := t.count, t.example
	t.count, t.example = 0, nil
	t.mu.Unlock()
	t.log.Log(t.level, t.message, append([]zap.Field{zap.Int("count", count), zap.Duration("within", tallyEvery)}, example...)...)
}
