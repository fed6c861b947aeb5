package enginetest

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// TestOverload has more tasks registered than can be polled as often as the
// settings say: that is reported once, by a metric for as long as it lasts, and so is
// its end.
func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(20*time.Millisecond, 40*time.Millisecond, func(watcher.Key, time.Time) (watcher.Push, error) { return pushOf("PUSHING"), nil })
		core, logs := observer.New(zap.InfoLevel)
		metrics := prometheus.NewRegistry()
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Log:     zap.New(core),
			Metrics: metrics,
			Settings: engine.Settings{
				MaxStaleness: 2 * time.Second,
				Accounts:     []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, Cloud: c}},
			},
		})
		defer stop()
		const over, ended = zap.WarnLevel, zap.InfoLevel
		expect := func(when string, overloaded float64, want ...zapcore.Level) {
			t.Helper()
			time.Sleep(5 * time.Minute) // in which the account is inspected ten times
			var logged []zapcore.Level
			for _, e := range logs.All() {
				if fields := e.ContextMap(); fields["tasks"] != nil && fields["round"] != nil {
					logged = append(logged, e.Level)
				}
			}
			if !slices.Equal(logged, want) {
				t.Errorf("%s: levels of what is logged of overload = %v, want %v", when, logged, want)
			}
			if got := gauge(t, metrics, "pushwatch_overloaded"); got != overloaded {
				t.Errorf("%s: pushwatch_overloaded = %v, want %v", when, got, overloaded)
			}
		}
		keys := s.register(40, "class") // 20 a second
		expect("as many as can be", 0)
		keys = append(keys, s.register(1, "one-more")...)
		expect("one more", 1, over)
		if stale := gauge(t, metrics, "pushwatch_staleness_seconds"); stale < 1 || stale > 7 { // three laps
			t.Errorf("one more: pushwatch_staleness_seconds = %v, want between one lap and three", stale)
		}
		for _, key := range keys[:2] {
			if err := s.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		expect("hardly less", 1, over)
		for _, key := range keys[2:5] {
			if err := s.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		expect("less", 0, over, ended)
	})
}

// gauge reads a metric that has one account.
func gauge(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s, or more than one", name)
	return 0
}
