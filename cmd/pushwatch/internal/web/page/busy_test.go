package page_test

import (
	"errors"
	"fmt"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// busy has the world be one of 200 pushes on a bad day: an account and an application are
// blind, some pushes are blind by themselves, others failed, the receivers refuse. It
// returns the id of a dead delivery.
func (w *world) busy() string {
	w.Helper()
	w.anHour()
	blindSchool := fine("school")
	blindSchool.Granted, blindSchool.BlindPushes, blindSchool.Tasks[watcher.Pushing] = 12, 4, 140
	blindSchool.Outages = blindAccount("school", app+1, 4*time.Minute, true).Outages
	blindSchool.Outages[0].Cause = &watcher.APIError{Code: "InternalError.Timeout", Message: "The request to the application timed out."}
	w.show(blindAccount("college", 0, 25*time.Minute, true), blindSchool)

	w.refuseAll(&notify.SendError{Reason: `answered 400 Bad Request: {"error":"class not in term"}`, Final: true, Err: errors.New("400")})
	w.story()
	w.refuseAll(&notify.SendError{Reason: "connect to 127.0.0.1:1: connection refused", Err: errors.New("refused")})
	for i := range 200 {
		ago := time.Duration(50-i/5) * time.Minute
		labels := map[string]string{"course": fmt.Sprintf("%s-%d%c", []string{"math", "physics", "art", "history"}[i%4], 1+i%6, 'a'+i%3), "room": fmt.Sprint(10 + i%30)}
		t := w.register(fmt.Sprintf("class-%03d", i), ago, labels)
		started := seen{kind: watcher.PushStarted, ago: ago - time.Minute, window: 2 * time.Second, push: pushing(ago-time.Minute, 0)}
		switch {
		case i%25 == 3:
			w.happen(t, started, seen{kind: watcher.PushFailed, ago: time.Minute, window: 3 * time.Second, push: ended(ago-time.Minute, time.Minute, "EXCEPTION")})
		case i%40 == 7:
			w.happen(t, started, seen{kind: watcher.PushBlind, ago: time.Minute, window: time.Minute, blind: &watcher.Blind{Since: time.Now().Add(-2 * time.Minute), Error: watcher.PollError{
				Since: time.Now().Add(-2 * time.Minute), Code: "InternalError", Message: "internal error, please retry"}}})
		case i%5 == 0:
			w.happen(t, started, seen{kind: watcher.PushException, ago: time.Duration(200-i) * time.Second, window: 8 * time.Second, push: pushing(ago-time.Minute, int64(1+i%3))})
		case i%3 != 0:
			w.happen(t, started)
		}
	}
	return w.deadDelivery()
}

// refuseAll has the receivers answer everything with an error.
func (w *world) refuseAll(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

// deadDelivery waits for a dead delivery, and returns its id.
func (w *world) deadDelivery() string {
	w.Helper()
	for begin := time.Now(); time.Since(begin) < hang; time.Sleep(10 * time.Millisecond) {
		dead, err := w.dispatcher.Deliveries(w.Context(), notify.Query{State: notify.Dead, Limit: 1})
		if err != nil {
			w.Fatal(err)
		}
		if len(dead) > 0 {
			return dead[0].ID.String()
		}
	}
	w.Fatal("no delivery is dead")
	return ""
}
