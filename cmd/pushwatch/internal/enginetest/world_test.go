package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// A life is the truth about one push of a simulated world.
type life struct {
	key        watcher.Key
	known      time.Time // when TIW knows it
	started    time.Time
	exceptions []time.Time
	ended      time.Time
	how        watcher.EventType
	asError    bool // the end is an API error
}

// answer is what TIW answers at a time.
func (l *life) answer(at time.Time) (watcher.Push, error) {
	count := int64(0)
	for _, e := range l.exceptions {
		if !at.Before(e) {
			count++
		}
	}
	push := watcher.Push{ExceptionCount: &count, Backup: new(""), RequestID: new(fmt.Sprint(at.UnixNano()))}
	switch {
	case at.Before(l.known):
		return push, &watcher.CloudError{Kind: watcher.UnknownTask, Code: "InvalidParameter.TaskNotFound"}
	case at.Before(l.started):
		push.Status = new("PREPARED")
	case at.Before(l.ended):
		push.Status, push.PushStartTime = new("PUSHING"), new(l.started.Unix())
	case l.asError:
		return push, &watcher.CloudError{Kind: watcher.FailedTask, Code: "FailedOperation.WhiteboardPush"}
	default:
		push.Status, push.PushStartTime, push.PushStopTime = new("STOPPED"), new(l.started.Unix()), new(l.ended.Unix())
		push.FinishReason = new(map[watcher.EventType]string{watcher.PushStopped: "USER_CALL", watcher.PushFailed: "EXCEPTION"}[l.how])
	}
	return push, nil
}

// An outage is a time in which polls tell nothing of an application, or of any.
type outage struct {
	app      int64 // 0: of any
	from, to time.Time
	fault    error
}

// hides reports whether a poll of a task at a time tells nothing.
func (o *outage) hides(key watcher.Key, at time.Time) bool {
	return (o.app == 0 || o.app == key.SDKAppID) && at.After(o.from) && at.Before(o.to)
}

// TestWorlds runs random worlds for hours each: pushes of every kind in two
// applications, outages of every kind of either and of both, a database that fails,
// restarts and other settings at any moment. What is reported must be the truth of the
// world: each fact once, in order, the end soon, and nothing else.
func TestWorlds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { world(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func world(t *testing.T, random *rand.Rand) {
	const hours = 3
	begin := time.Now()
	within := func(d time.Duration) time.Duration { return time.Duration(random.Float64() * float64(d)) }

	lives := make(map[watcher.Key]*life)
	var order []*life
	for i := range 60 {
		l := &life{key: watcher.Key{SDKAppID: app + int64(i%2), TaskID: fmt.Sprintf("class-%d", i)}, how: watcher.PushStopped}
		l.known = begin.Add(time.Minute + within(hours*time.Hour-70*time.Minute))
		l.started = l.known.Add(time.Second + within(20*time.Second))
		l.ended = l.started.Add(time.Minute + within(time.Hour))
		for range random.IntN(4) {
			l.exceptions = append(l.exceptions, l.started.Add(within(l.ended.Sub(l.started))))
		}
		switch random.IntN(4) {
		case 0:
			l.how = watcher.PushFailed
		case 1:
			l.how, l.asError = watcher.PushFailed, true
		}
		lives[l.key] = l
		order = append(order, l)
	}
	faults := []error{
		&watcher.CloudError{Code: "http 502"}, &watcher.CloudError{Code: "network", Sent: watcher.Unanswered}, errHang,
		&watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"},
		&watcher.CloudError{Kind: watcher.DeniedApplication, Code: "UnauthorizedOperation.SdkAppId"},
		&watcher.CloudError{Kind: watcher.Throttled, Code: "RequestLimitExceeded"},
	}
	var outages []outage
	for _, of := range []int64{0, app, other} { // where both fail it is as the whole does
		for at := begin; at.Before(begin.Add(hours * time.Hour)); {
			at = at.Add(time.Minute + within(30*time.Minute))
			o := outage{app: of, from: at, to: at.Add(within(10 * time.Minute)), fault: faults[random.IntN(len(faults))]}
			outages = append(outages, o)
			at = o.to
		}
	}
	c := newCloud(5*time.Millisecond, 80*time.Millisecond, func(key watcher.Key, at time.Time) (watcher.Push, error) {
		for _, o := range outages {
			if o.hides(key, at) {
				return watcher.Push{}, o.fault
			}
		}
		return lives[key].answer(at)
	})

	path := filepath.Join(t.TempDir(), "w.db")
	var sent []sentEvent
	saves := 0
	for pending := order; ; {
		s, stop := start(t, path, c, other)
		s.store.failWith(func(int) error {
			saves++
			switch {
			case saves%29 == 0:
				return errors.New("disk full")
			case saves%31 == 0:
				return errAfter
			}
			return nil
		})
		for until := time.Now().Add(within(40 * time.Minute)); time.Now().Before(until); {
			var due []watcher.Registration
			pending = slices.DeleteFunc(slices.Clone(pending), func(l *life) bool {
				if time.Now().Before(l.known.Add(-5 * time.Second)) { // a backend may be early
					return false
				}
				due = append(due, watcher.Registration{Key: l.key})
				return true
			})
			if len(due) > 0 {
				if _, err := s.Register(t.Context(), due, false); err != nil {
					t.Fatal(err)
				}
			}
			if random.IntN(600) == 0 {
				s.Reconfigure(engine.Settings{
					Accounts:    []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app, other}, Cloud: c, RequestsPerSecond: 5 + 15*random.Float64()}},
					MinInterval: time.Second + within(2*time.Second),
				})
			}
			time.Sleep(time.Second)
		}
		over := time.Now().After(begin.Add(hours*time.Hour + 30*time.Minute))
		stop()
		sent = append(sent, s.read(t)...)
		if over {
			break
		}
		time.Sleep(within(5 * time.Second))
	}
	if got := c.busiest(); got > 20 {
		t.Errorf("arrivals in one second = %d, want at most 20", got)
	}
	judge(t, lives, outages, sent)
}

// A sentEvent is what of an event the judgement needs.
type sentEvent struct {
	Type    watcher.EventType `json:"type"`
	ID      string            `json:"id"`
	Subject string            `json:"subject"`
	Time    time.Time         `json:"time"`
	Data    struct {
		Sequence   int64  `json:"sequence"`
		SDKAppID   int64  `json:"sdk_app_id"`
		TaskID     string `json:"task_id"`
		Exceptions int    `json:"exceptions_added"`
	} `json:"data"`
}

// read returns the events that were committed while s ran.
func (s *scene) read(t *testing.T) []sentEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []sentEvent
	for _, d := range s.events {
		var e sentEvent
		if err := json.Unmarshal(d.Body, &e); err != nil {
			t.Fatalf("event %s: %v", d.Body, err)
		}
		all = append(all, e)
	}
	return all
}

// observable is how long until a time, within a second or so for each outage, the end
// could be seen: whatever becomes of the other application.
func (l *life) observable(until time.Time, outages []outage) (d time.Duration) {
	for at := l.ended; at.Before(until); at = at.Add(time.Second) {
		if !slices.ContainsFunc(outages, func(o outage) bool { return o.hides(l.key, at) }) {
			d += time.Second
		}
	}
	return d
}

// judge holds what was reported against the truth.
func judge(t *testing.T, lives map[watcher.Key]*life, outages []outage, sent []sentEvent) {
	ids := make(map[string]bool)
	of := make(map[watcher.Key][]sentEvent)
	blind := make(map[string]bool)
	for _, e := range sent {
		if ids[e.ID] {
			t.Errorf("%s %s was reported twice", e.Type, e.ID)
		}
		ids[e.ID] = true
		switch e.Type {
		case watcher.WatcherBlind, watcher.WatcherSighted:
			if (e.Type == watcher.WatcherBlind) == blind[e.Subject] {
				t.Errorf("%s of %s follows its like", e.Type, e.Subject)
			}
			blind[e.Subject] = !blind[e.Subject]
		default:
			key := watcher.Key{SDKAppID: e.Data.SDKAppID, TaskID: e.Data.TaskID}
			of[key] = append(of[key], e)
		}
	}
	rank := map[watcher.EventType]int{watcher.PushPreparing: 1, watcher.PushStarted: 2, watcher.PushException: 3, watcher.PushStopped: 4, watcher.PushFailed: 4}
	for key, l := range lives {
		count := make(map[watcher.EventType]int)
		exceptions, last := 0, 0
		for i, e := range of[key] {
			if e.Data.Sequence != int64(i+1) {
				t.Errorf("%s: event %d has number %d", key, i+1, e.Data.Sequence)
			}
			if rank[e.Type] < last || rank[e.Type] == 0 {
				t.Errorf("%s: %s after an event of rank %d", key, e.Type, last)
			}
			last = rank[e.Type]
			count[e.Type]++
			exceptions += e.Data.Exceptions
			if late := l.observable(e.Time, outages); e.Type == l.how && late > 45*time.Second {
				t.Errorf("%s: %s was reported %s late, its outages not counted", key, e.Type, late)
			}
		}
		// An end that comes as an error tells nothing of what came before it.
		if n := count[watcher.PushStarted]; n > 1 || n == 0 && !l.asError {
			t.Errorf("%s: push.started reported %d times", key, n)
		}
		if n := count[watcher.PushPreparing]; n > 1 {
			t.Errorf("%s: push.preparing reported %d times", key, n)
		}
		if want := len(l.exceptions); exceptions > want || exceptions < want && !l.asError {
			t.Errorf("%s: %d exceptions reported, want %d", key, exceptions, want)
		}
		if ends := count[watcher.PushStopped] + count[watcher.PushFailed] + count[watcher.PushNotFound]; ends != 1 || count[l.how] != 1 {
			t.Errorf("%s: ends reported: %v, want one %s", key, count, l.how)
		}
	}
}
