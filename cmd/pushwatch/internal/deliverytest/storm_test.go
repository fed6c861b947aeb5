package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/notify"
)

// TestStorm adds and releases accounts, and lets notifiers fail, be paused and leave
// the settings for a moment, all at random. When everything is well again, each event
// has been accepted, in order at first, and settled.
func TestStorm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(0, seed))) })
		})
	}
}

// A moody is a receiver that fails as its mood says, or accepts all, after some time.
type moody struct {
	receiver
	mood atomic.Pointer[notify.SendError] // nil: it accepts all
}

func newMoody() *moody {
	m := new(moody)
	m.answer = func(_ context.Context, d *notify.Delivery) error {
		time.Sleep(time.Duration(d.ID*37%200) * time.Millisecond)
		if failure := m.mood.Load(); failure != nil {
			return failure
		}
		return nil
	}
	return m
}

func storm(t *testing.T, random *rand.Rand) {
	receivers := map[string]*moody{"m": newMoody(), "n": newMoody()}
	names := []string{"m", "n"}
	notifiers := []notify.Notifier{to("m", &receivers["m"].receiver), to("n", &receivers["n"].receiver)}
	w := newWorld(t, notifiers...)
	moods := []*notify.SendError{
		nil, refused, broken, {Cause: notify.CauseBlocked, Reason: "blocked"},
		{Cause: notify.CauseThrottled, Reason: "answered 429", RetryAfter: time.Now().Add(time.Minute)},
	}
	accounts := make([]*world, 3)          // nil: nobody owns it
	announced := make(map[string][]string) // ids by subject
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	events := 0
	for range 150 {
		name, i := names[random.IntN(len(names))], random.IntN(len(accounts))
		switch event := random.IntN(12); {
		case event == 0 && accounts[i] == nil:
			accounts[i] = w.own(fmt.Sprint(i), itself)
		case event == 0:
			accounts[i].stop()
			accounts[i] = nil
		case event == 1:
			must(w.dispatcher.Pause(t.Context(), name))
		case event == 2:
			must(w.dispatcher.Resume(t.Context(), name))
		case event == 3:
			receivers[name].mood.Store(moods[random.IntN(len(moods))])
		case event == 4:
			w.dispatcher.Reconfigure(notifiers[:1])
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			w.dispatcher.Reconfigure(notifiers)
		case event == 5:
			rest(time.Duration(random.ExpFloat64() * float64(time.Minute)))
		case accounts[i] != nil:
			for range 1 + random.IntN(20) {
				events++
				id, subject := fmt.Sprintf("msg_%d", events), fmt.Sprintf("%d/%d", i, random.IntN(5))
				accounts[i].announce(id, subject, names...)
				announced[subject] = append(announced[subject], id)
			}
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
	}

	w.dispatcher.Reconfigure(notifiers)
	for i := range accounts {
		if accounts[i] == nil {
			accounts[i] = w.own(fmt.Sprint(i), itself)
		}
	}
	for name, r := range receivers {
		r.mood.Store(nil)
		must(w.dispatcher.Resume(t.Context(), name))
	}
	rest(2 * time.Hour)
	for name, r := range receivers {
		first := firstTaken(&r.receiver)
		for subject, ids := range announced {
			if !slices.Equal(first[subject], ids) {
				t.Errorf("%s has accepted %v of %s, want %v", name, first[subject], subject, ids)
			}
		}
		if s := w.status(name); s.Pending != 0 {
			t.Errorf("Notifiers() = %+v, want nothing pending", s)
		}
	}
	for _, a := range accounts {
		a.stop()
	}
	w.stop()
}

// firstTaken lists the ids that were accepted, by subject, in the order in which they were
// at first.
func firstTaken(r *receiver) map[string][]string {
	first := make(map[string][]string)
	seen := make(map[string]bool)
	for _, s := range r.all() {
		if s.accepted && !seen[s.id] {
			seen[s.id] = true
			first[s.subject] = append(first[s.subject], s.id)
		}
	}
	return first
}
