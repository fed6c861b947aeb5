package notify

import (
	"context"
	"encoding/json"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pushwatch/watcher"
)

// A Log is a [Sender] that writes one line for each event.
type Log struct{ Logger *zap.Logger }

// Send implements [Sender]. It never fails.
func (l Log) Send(_ context.Context, d *Delivery) (int, error) {
	l.Logger.Log(level(d.Type), "event",
		zap.String("event", d.EventID), zap.String("type", string(d.Type)), d.about(),
		zap.String("account", d.Account), zap.Time("at", d.EventAt), zap.Reflect("body", json.RawMessage(d.Body)))
	return 0, nil
}

// about returns the log field that names what an event is about: its task or other
// subject.
func (d *Delivery) about() zap.Field {
	if d.Task.TaskID != "" {
		return zap.Stringer("task", d.Task)
	}
	return zap.String("subject", d.Subject)
}

// level returns how serious an event is: an error if a class has lost its whiteboard or
// its loss would go unnoticed, a warning if that may follow. A dead letter is only a
// warning here, because it was logged as an error before.
func level(t watcher.EventType) zapcore.Level {
	switch t {
	case watcher.PushFailed, watcher.PushNotFound, watcher.PushBlind, watcher.PushAbandoned, watcher.WatcherBlind:
		return zap.ErrorLevel
	case watcher.PushException, watcher.PushStalled, watcher.PushOverdue, watcher.PushBackupChanged, watcher.PushChanged,
		watcher.DeliveryExhausted:
		return zap.WarnLevel
	default:
		return zap.InfoLevel
	}
}
