package outage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

var (
	noon     = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	broken   = &watcher.CloudError{Code: "InternalError"}
	refused  = &watcher.CloudError{Kind: watcher.Refused, Code: "InvalidParameter"}
	expired  = &watcher.CloudError{Kind: watcher.DeniedApplication, Code: "ResourceUnavailable.ServiceExpired"}
	unsigned = &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure.SignatureFailure"}
	overused = &watcher.CloudError{Kind: watcher.Throttled, Code: "RequestLimitExceeded"}
)

// A world drives a tracker of an account with some pushes and keeps what it says.
type world struct {
	*Tracker
	now  time.Time
	keys []watcher.Key
	said []string
}

// newWorld returns a world with the given numbers of pushes of the applications 1, 2, 3 …
func newWorld(pushes ...int) *world {
	w := &world{Tracker: New(time.Minute), now: noon}
	for app, n := range pushes {
		for i := range n {
			key := watcher.Key{SDKAppID: int64(app + 1), TaskID: fmt.Sprint(i)}
			w.keys = append(w.keys, key)
			w.Add(key)
		}
	}
	return w
}

// round polls every push once, one each 100 ms. A fault of nil is an observation.
func (w *world) round(fault func(key watcher.Key) *watcher.CloudError) {
	for _, key := range w.keys {
		w.now = w.now.Add(100 * time.Millisecond)
		w.note(w.Check(w.now))
		w.Sent(key.SDKAppID)
		w.note(w.Record(w.now, key, fault(key)))
	}
}

// rounds does so for a time.
func (w *world) rounds(d time.Duration, fault func(key watcher.Key) *watcher.CloudError) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.round(fault)
	}
}

var kinds = map[Kind]string{Opened: "opened", Closed: "closed", Isolated: "isolated", Rejoined: "rejoined", QuotaUsed: "quota", Blind: "blind", Sighted: "sighted"}

func (w *world) note(changes []Transition) {
	for _, c := range changes {
		what := c.Level.String()
		switch c.Level {
		case Application:
			what += fmt.Sprint(" ", c.SDKAppID)
		case Push:
			what += " " + c.Key.String()
		}
		w.said = append(w.said, kinds[c.Kind]+" "+what)
	}
}

// of returns what was said of some kinds.
func (w *world) of(some ...Kind) string {
	var all []string
	for _, text := range w.said {
		kind, _, _ := strings.Cut(text, " ")
		if slices.ContainsFunc(some, func(k Kind) bool { return kinds[k] == kind }) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

func well(watcher.Key) *watcher.CloudError { return nil }

// only makes some pushes fail.
func only(fault *watcher.CloudError, keys ...string) func(watcher.Key) *watcher.CloudError {
	return func(key watcher.Key) *watcher.CloudError {
		if slices.Contains(keys, key.String()) || slices.Contains(keys, fmt.Sprint(key.SDKAppID)) {
			return fault
		}
		return nil
	}
}

func all(fault *watcher.CloudError) func(watcher.Key) *watcher.CloudError {
	return func(watcher.Key) *watcher.CloudError { return fault }
}

// A failure is reported at the lowest level that explains it, once, and so is its end.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		name   string
		pushes []int
		fault  func(watcher.Key) *watcher.CloudError
		want   string
	}{
		{"one push", []int{6}, only(broken, "1/0"), "blind push 1/0"},
		{"one push is refused", []int{6}, only(refused, "1/0"), "blind push 1/0"},
		{"one push of each application", []int{3, 3}, only(broken, "1/0", "2/0"), "blind push 1/0, blind push 2/0"},
		{"all but one", []int{4}, only(broken, "1/0", "1/1", "1/2"), "blind push 1/0, blind push 1/1, blind push 1/2"},
		{"an application", []int{6, 6}, only(broken, "1"), "blind application 1, sighted application 1"},
		{"an application with one push", []int{1, 6}, only(broken, "1"), "blind application 1, sighted application 1"},
		{"an application is refused", []int{6, 6}, only(refused, "1"), "blind application 1, sighted application 1"},
		{"an application is denied", []int{6, 6}, only(expired, "1"), "blind application 1, sighted application 1"},
		{"the account", []int{6, 6}, all(broken), "blind account, sighted account"},
		{"the account is refused", []int{3}, all(refused), "blind account, sighted account"},
		{"the account is denied", []int{6, 6}, all(unsigned), "blind account, sighted account"},
		{"the account is throttled", []int{6, 6}, all(overused), "blind account, sighted account"},
		{"nobody", []int{6, 6}, well, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(c.pushes...)
			w.round(well)
			w.rounds(90*time.Second, c.fault)
			w.rounds(10*time.Second, well)
			if got := w.of(Blind, Sighted); got != c.want {
				t.Errorf("said %q, want %q", got, c.want)
			}
			if len(w.Tracker.pushes) > 0 || w.BlindPushes() != 0 || len(w.failures) > 0 || len(w.Outages()) > 0 {
				t.Errorf("left when all is well: %d pushes, %d of them blind, %d applications, outages %v", len(w.Tracker.pushes), w.BlindPushes(), len(w.failures), w.Outages())
			}
		})
	}
}

// A push that fails by itself opens no breaker over its neighbours, once that is known.
func TestPushDisturbsNobody(t *testing.T) {
	w := newWorld(24)
	bad := func(key watcher.Key) *watcher.CloudError {
		if len(key.TaskID) == 1 || key.TaskID < "14" { // 14 of them, ten in a row
			return broken
		}
		return nil
	}
	w.rounds(10*time.Second, bad)
	w.said = nil
	w.rounds(10*time.Minute, bad)
	if got := w.of(Opened, Closed, Isolated, Rejoined); got != "" {
		t.Errorf("after ten seconds: %s, want nothing", got)
	}
	if got := w.BlindPushes(); got != 14 {
		t.Errorf("%d pushes are blind, want 14", got)
	}
	// When the account fails as a whole, that is noticed all the same, and reported once.
	w.said = nil
	w.rounds(2*time.Minute, all(broken))
	w.rounds(10*time.Second, bad)
	if got, want := w.of(Opened, Blind, Sighted, Closed), "opened account, blind account, closed account, sighted account"; got != want {
		t.Errorf("of an outage beside blind pushes: %s, want %s", got, want)
	}
	if got := w.BlindPushes(); got != 14 {
		t.Errorf("after the outage %d pushes are blind, want the same 14", got)
	}
}

// What a push is blind with survives a restart, and is not reported again.
func TestRestorePush(t *testing.T) {
	w := newWorld(3)
	w.RestorePush(w.keys[0], noon.Add(-time.Hour), noon)
	w.rounds(5*time.Minute, only(broken, "1/0"))
	if got := w.of(Blind, Opened, Sighted); got != "" {
		t.Errorf("said %q, want nothing", got)
	}
	if f, ok := w.Failure(w.keys[0]); !ok || !f.Blind || f.Cause != broken || !f.Since.Equal(noon.Add(-time.Hour)) {
		t.Errorf("Failure = %+v, %t, want one that is blind since an hour before noon", f, ok)
	}
	w.round(well)
	if _, ok := w.Failure(w.keys[0]); ok || w.BlindPushes() != 0 {
		t.Errorf("still failing after it was observed: %d are blind", w.BlindPushes())
	}
}

// FuzzHistory plays random outages at every level. At each level blind and sighted take
// turns; a push is reported only while its application and account are visible; and when
// all is well for a while nothing is left.
func FuzzHistory(f *testing.F) {
	f.Add([]byte{1, 90, 2, 3, 200, 8, 0, 10})
	f.Add([]byte{255, 80, 254, 70, 7, 60, 129, 200})
	f.Add([]byte{31, 200, 96, 90, 7, 3, 4, 250, 255, 100})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 60 {
			return
		}
		w := newWorld(5, 2, 1)
		faults := []*watcher.CloudError{broken, refused, expired, unsigned, overused}
		blind := make(map[string]bool)
		check := func() {
			for _, text := range w.said {
				kind, what, _ := strings.Cut(text, " ")
				if kind != "blind" && kind != "sighted" {
					continue
				}
				if strings.HasPrefix(what, "push") {
					key := strings.TrimPrefix(what, "push ")
					if app := "application " + key[:1]; blind["account"] || blind[app] {
						t.Fatalf("%s while the account (%t) or its application (%t) is blind", text, blind["account"], blind[app])
					}
					continue // its task reports the end
				}
				if blind[what] == (kind == "blind") {
					t.Fatalf("%s follows its like", text)
				}
				blind[what] = kind == "blind"
			}
			w.said = nil
		}
		for i := 0; i+1 < len(script); i += 2 {
			hit, fault := script[i], faults[int(script[i+1])%len(faults)]
			failing := func(key watcher.Key) *watcher.CloudError {
				bit := slices.Index(w.keys, key)
				if hit&(1<<bit) != 0 {
					return fault
				}
				return nil
			}
			for range int(script[i+1])/8 + 1 { // up to 30 s
				w.round(failing)
				w.now = w.now.Add(time.Second)
				check()
			}
		}
		w.rounds(time.Minute, well)
		check()
		for what, is := range blind {
			if is {
				t.Fatalf("%s is blind though all is well", what)
			}
		}
		if len(w.Tracker.pushes) > 0 || len(w.failures) > 0 || len(w.Outages()) > 0 || w.Permission(w.now).Open {
			t.Fatalf("left when all is well: %d pushes, outages %v", len(w.Tracker.pushes), w.Outages())
		}
	})
}

// A push that fails when an outage begins and once more when it ends is not blind by
// itself: the blindness of its account or application covers the time before.
func TestOutageBesideFailingPush(t *testing.T) {
	for name, outage := range map[string]func(watcher.Key) *watcher.CloudError{"account": all(broken), "application 1": only(refused, "1")} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(6, 2)
			one := only(broken, "1/5")
			w.round(well)
			w.round(one)
			w.round(one)
			w.rounds(10*time.Minute, outage)
			w.round(one)
			w.round(one)
			w.rounds(10*time.Second, well)
			if got, want := w.of(Blind, Sighted), "blind "+name+", sighted "+name; got != want {
				t.Errorf("said %q, want %q", got, want)
			}
			w.said = nil
			w.rounds(5*time.Second, one)
			w.rounds(10*time.Minute, outage)
			w.rounds(90*time.Second, one)
			if got, want := w.of(Blind, Sighted), "blind "+name+", sighted "+name+", blind push 1/5"; got != want {
				t.Errorf("of one that goes on failing: said %q, want %q", got, want)
			}
		})
	}
}

// An application that fails beside one whose pushes are polled less often than blind_after
// says, as in a thrifty account, does not make the account blind.
func TestFailingBesideRarelyPolled(t *testing.T) {
	w := newWorld(6, 1)
	failing, rare := w.keys[:6], w.keys[6]
	w.round(well)
	for range 5 {
		w.keys = failing
		w.rounds(90*time.Second, all(broken))
		w.keys = []watcher.Key{rare}
		w.round(well)
	}
	w.keys = failing
	w.rounds(time.Second, all(broken))
	if got, want := w.of(Blind, Sighted), "blind application 1"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	w.keys = append(failing, rare)
	w.rounds(90*time.Second, all(broken))
	if got, want := w.of(Blind, Sighted), "blind application 1, blind account"; got != want {
		t.Errorf("when both fail: said %q, want %q", got, want)
	}
}
