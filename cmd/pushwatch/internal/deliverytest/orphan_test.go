package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"pushwatch/notify"
)

// TestOrphans renames a notifier while an event waits for it: that is logged once, with
// a hint, and counted, until the notifier has its old name again.
func TestOrphans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := &receiver{answer: func(context.Context, *notify.Delivery) error { return broken }}
		w := newWorld(t, to("old", down))
		w.announce("msg_1", "a", "old")
		rest(time.Second)
		check := func(names string, warnings int, pending string) {
			t.Helper()
			rest(2 * time.Minute)
			logged := w.warnings.FilterMessage("deliveries without notifier").FilterField(zap.String("notifier", "old")).FilterFieldKey("hint")
			if got := logged.FilterLevelExact(zap.WarnLevel).FilterField(zap.Int("deliveries", 1)).Len(); got != warnings {
				t.Errorf("with the notifier %s: %d warnings of an orphan, want %d", names, got, warnings)
			}
			want := "# HELP pushwatch_deliveries_pending Deliveries to a notifier that are neither delivered nor dead.\n# TYPE pushwatch_deliveries_pending gauge\n" + pending
			if err := testutil.GatherAndCompare(w.metrics, strings.NewReader(want), "pushwatch_deliveries_pending"); err != nil {
				t.Errorf("with the notifier %s: %v", names, err)
			}
		}
		check("old", 0, `pushwatch_deliveries_pending{notifier="old"} 1`+"\n")
		w.dispatcher.Reconfigure([]notify.Notifier{to("new", &receiver{})})
		check("new", 1, `pushwatch_deliveries_pending{notifier="new"} 0`+"\n"+`pushwatch_deliveries_pending{notifier="old"} 1`+"\n")
		w.dispatcher.Reconfigure([]notify.Notifier{to("old", &receiver{})})
		check("old again", 1, `pushwatch_deliveries_pending{notifier="old"} 0`+"\n")
		w.stop()
	})
}
