package notify

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/watcher"
)

// A failingBox fails to settle until a time.
type failingBox struct {
	Outbox
	until time.Time
	tries int
}

func (b *failingBox) Settle(context.Context, []Outcome) error {
	b.tries++
	if time.Now().Before(b.until) {
		return errors.New("disk full")
	}
	return nil
}

// TestSettlingFails lets the database fail for a while: the same batch is tried until it
// is written, and the log says once that it fails and once that it works again.
func TestSettlingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, log := observer.New(zap.DebugLevel)
		box := &failingBox{until: time.Now().Add(time.Minute)}
		f := &Feed{box: box, log: zap.New(core), dispatcher: &Dispatcher{events: watcher.EventsCounter(prometheus.NewRegistry())}}
		if err := f.save(t.Context(), []Outcome{{ID: 1}}); err != nil {
			t.Fatalf("save() = %v, want nil", err)
		}
		if box.tries < 10 || box.tries > 30 {
			t.Errorf("%d tries in a minute, want them some seconds apart", box.tries)
		}
		lines := log.All()
		if len(lines) != 2 || lines[0].Level != zap.ErrorLevel || lines[0].ContextMap()["error"] != "disk full" ||
			lines[1].Level != zap.InfoLevel || lines[1].ContextMap()["failed_for"].(time.Duration) < time.Minute {
			t.Errorf("the log has %v, want an error when it begins to fail, and a line when it works again", lines)
		}
	})
}
