package notify_test

import (
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// TestLog logs every type of event: in one line, at its level, with the event itself.
func TestLog(t *testing.T) {
	levels := map[watcher.EventType]zapcore.Level{
		watcher.PushFailed: zap.ErrorLevel, watcher.PushNotFound: zap.ErrorLevel,
		watcher.PushBlind: zap.ErrorLevel, watcher.PushAbandoned: zap.ErrorLevel, watcher.WatcherBlind: zap.ErrorLevel,
		watcher.PushException: zap.WarnLevel, watcher.PushStalled: zap.WarnLevel, watcher.PushOverdue: zap.WarnLevel,
		watcher.PushBackupChanged: zap.WarnLevel, watcher.PushChanged: zap.WarnLevel,
		watcher.DeliveryExhausted: zap.WarnLevel, // it was logged as an error when it died
	} // and all others: info
	for _, kind := range watcher.EventTypes {
		want, ok := levels[kind]
		if !ok {
			want = zap.InfoLevel
		}
		core, lines := observer.New(zap.DebugLevel)
		body := watcher.NewEnvelope("test", "msg_1", kind, "1400000001/math", time.Now(), nil).Encode()
		d := &notify.Delivery{
			Account: "school", EventID: "msg_1", Type: kind, Subject: "1400000001/math",
			Task: watcher.Key{SDKAppID: 1400000001, TaskID: "math"}, Body: body,
		}
		if _, err := (notify.Log{Logger: zap.New(core)}).Send(t.Context(), d); err != nil {
			t.Errorf("Send(%s) = %v, want nil", kind, err)
		}
		if lines.Len() != 1 {
			t.Fatalf("Send(%s) logs %d lines, want one", kind, lines.Len())
		}
		line := lines.All()[0]
		if line.Level != want {
			t.Errorf("%s is logged as %v, want %v", kind, line.Level, want)
		}
		fields := line.ContextMap()
		if fields["event"] != "msg_1" || fields["type"] != string(kind) || fields["task"] != "1400000001/math" || fields["account"] != "school" {
			t.Errorf("%s is logged with %v, want its event, type, task and account", kind, fields)
		}
		if got, err := json.Marshal(fields["body"]); string(got) != string(body) {
			t.Errorf("%s is logged with the body %s, %v, want %s", kind, got, err, body)
		}
	}
}
