package sqlstore

import (
	"sync"
	"testing"
	"time"

	"pushwatch/notify"
)

// TestSettleLog reads what Settle leaves of attempts.
func TestSettleLog(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	a := ownTest(t, db)
	if err := a.commit(t.Context(), []*request{announcement("msg_1")}); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 18, 16, 5, 0, time.UTC)
	first := notify.Outcome{ID: 1, Position: 1, State: notify.Pending, Attempts: 1, NextAttemptAt: at.Add(time.Second),
		Attempt: notify.Attempt{At: at, Status: 503, Error: "a\x00b", Duration: 20 * time.Millisecond}}
	second := notify.Outcome{ID: 1, Position: 1, State: notify.Delivered, Attempts: 2,
		Attempt: notify.Attempt{At: at.Add(time.Second), Status: 200, Duration: 1500 * time.Microsecond}}
	for _, outcomes := range [][]notify.Outcome{{first}, {first, second}, {second}} { // repeated as after an error
		if err := a.commit(t.Context(), []*request{{outcomes: outcomes, done: make(chan struct{})}}); err != nil {
			t.Fatal(err)
		}
	}
	var state, lastError, log string
	var attempts, settledAt int64
	err := db.reader.QueryRow(`SELECT state, attempts, last_error, log, settled_at FROM deliveries`).Scan(&state, &attempts, &lastError, &log, &settledAt)
	if err != nil || state != "delivered" || attempts != 2 || lastError != "" || settledAt != second.Attempt.At.Add(1500*time.Microsecond).UnixMicro() {
		t.Errorf("delivery is %s after %d attempts, %q, at %d, %v", state, attempts, lastError, settledAt, err)
	}
	want := `{"at":"2026-11-22T18:16:05.000000Z","status":503,"error":"a` + "\uFFFD" + `b","duration_ms":20}` + "\n" +
		`{"at":"2026-11-22T18:16:06.000000Z","status":200,"error":"","duration_ms":1}` + "\n"
	if log != want {
		t.Errorf("log = %s, want %s", log, want)
	}
}

// their outcomes bring in opposite orders, again and again at the same time.
func TestSettleOrder(t *testing.T) {
	t.Parallel()
	db := openPostgresTest(t)
	var writers sync.WaitGroup
	for i, names := range [][]string{{"m", "n"}, {"n", "m"}} {
		a, err := db.Own(t.Context(), names[0])
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for round := range 200 {
				var outcomes []notify.Outcome
				for _, name := range names {
					outcomes = append(outcomes, notify.Outcome{ID: 1, State: notify.Dead, Notifier: &notify.NotifierRecord{
						Notifier: name, Version: int64(2*round + i), State: notify.Gone, ChangedAt: time.Now(),
					}})
				}
				if err := a.commit(t.Context(), []*request{{outcomes: outcomes, done: make(chan struct{})}}); err != nil {
					t.Errorf("commit() of %v among others = %v", names, err)
					return
				}
			}
		})
	}
	writers.Wait()
}
