package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"pushwatch/watcher"
	"pushwatch/watcher/engine"
	"pushwatch/watcher/schedule"
	"pushwatch/watcher/schedule/scheduletest"
	"pushwatch/watcher/tiwsim"
)

// wireless asks the simulated service through Tencent's SDK, but without a socket:
// none can be used in a bubble.
type wireless struct{ sdk *common.Client }

func newWireless(tiw *tiwsim.Service) wireless {
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "http", "tiw.example"
	sdk := common.NewCommonClient(common.NewCredential("AKIDschool", "key"), "ap-singapore", p)
	return wireless{sdk.WithHttpTransport(tiw)}
}

func (wireless) RoundTrip() time.Duration { return 0 }

func (w wireless) Describe(ctx context.Context, key watcher.Key) (watcher.Push, error) {
	request := tchttp.NewCommonRequest("tiw", "2019-09-19", "DescribeWhiteboardPush")
	request.SetContext(ctx)
	if err := request.SetActionParameters(map[string]any{"SdkAppId": key.SDKAppID, "TaskId": key.TaskID}); err != nil {
		return watcher.Push{}, &watcher.CloudError{Code: "unreadable", Sent: watcher.Unsent, Err: err}
	}
	answer := tchttp.NewCommonResponse()
	if err := w.sdk.Send(request, answer); err != nil {
		fault := &watcher.CloudError{Code: "network", Err: err}
		if said, ok := errors.AsType[*sdkerrors.TencentCloudSDKError](err); ok {
			fault.Code = said.Code
		}
		if fault.Code == "FailedOperation.WhiteboardPush" {
			fault.Kind = watcher.FailedTask
		}
		return watcher.Push{}, fault
	}
	var body struct {
		Response struct {
			Status, FinishReason        *string
			PushStartTime, PushStopTime *int64
		}
	}
	if err := json.Unmarshal(answer.GetBody(), &body); err != nil {
		return watcher.Push{}, &watcher.CloudError{Code: "unreadable", Err: err}
	}
	r := body.Response
	return watcher.Push{Status: r.Status, FinishReason: r.FinishReason, PushStartTime: r.PushStartTime, PushStopTime: r.PushStopTime}, nil
}

// A lesson is a push of a school day. Times count from the first registration.
type lesson struct {
	registered time.Duration
	prepared   time.Duration // how long it is PREPARED
	pushing    time.Duration // and then PUSHING; 0: it fails before
	planned    time.Duration // its planned end; 0: the backend does not tell
}

// forenoon returns the pushes of the first three hours of a school day with about
// n at a time, and how late the simulation sees them start and stop on average at
// a number of polls a second: as the schedule does on its first day.
func forenoon(seed uint64, n int, rate float64) (lessons []lesson, starts, stops time.Duration) {
	lives := scheduletest.School(seed, n, scheduletest.OrdinaryDay)
	first := lives[0].Registered
	for i, l := range lives {
		if l.Registered > first+3*3600 {
			lives = lives[:i]
			break
		}
		of := lesson{registered: span(l.Registered - first), prepared: span(l.Start - l.Registered), pushing: span(l.Stop - l.Start)}
		if math.IsInf(l.Start, 1) {
			of.prepared, of.pushing = span(l.Stop-l.Registered), 0
		}
		if !math.IsNaN(l.Hint) {
			of.planned = span(l.Hint - first)
		}
		lessons = append(lessons, of)
	}
	fresh := scheduletest.NewLearning(schedule.Config{MinInterval: time.Second, MaxStaleness: time.Minute})
	day := scheduletest.Simulate(lives, fresh, rate)[0]
	return lessons, span(day.Starts.Mean()), span(day.Stops.Mean())
}

// span is the inverse of Seconds.
func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// TestScheduleLive has a watcher with its real limiter and store follow the
// forenoon of a small school at the simulated service. It sees the pushes start
// and stop about as late as the simulation says, in which polls take no time and
// each slot of the limit is used.
func TestScheduleLive(t *testing.T) {
	t.Parallel()
	if scheduletest.Slowed() {
		t.Skip("35,000 signed requests; what the race detector could find, the worlds show it")
	}
	const n, rate = 200, 2
	lessons, starts, stops := forenoon(1, n, rate)
	synctest.Test(t, func(t *testing.T) {
		tiw, err := tiwsim.New(tiwsim.Config{
			Accounts: []tiwsim.Account{{Name: "school", SecretID: "AKIDschool", SecretKey: "key", SDKAppIDs: []int64{app}}},
			Limit:    rate, Latency: tiwsim.Duration(20 * time.Millisecond), LatencyMax: tiwsim.Duration(40 * time.Millisecond),
		})
		if err != nil {
			t.Fatal(err)
		}
		s, stop := startWith(t, filepath.Join(t.TempDir(), "w.db"), engine.Config{
			Settings: engine.Settings{
				Accounts: []engine.AccountConfig{{Name: "school", SDKAppIDs: []int64{app}, RequestsPerSecond: rate, Cloud: newWireless(tiw)}},
			},
		})
		defer stop()

		began := time.Now()
		started, stopped := make(map[string]time.Time), make(map[string]time.Time) // in truth, by task
		for i, l := range lessons {
			time.Sleep(time.Until(began.Add(l.registered)))
			task := watcher.Registration{Key: watcher.Key{SDKAppID: app, TaskID: fmt.Sprintf("lesson-%d", i)}}
			script := tiwsim.Life{SDKAppID: app, TaskID: task.TaskID}
			if l.pushing > 0 {
				script.PreparedFor, script.PushingFor = tiwsim.Duration(l.prepared), tiwsim.Duration(l.pushing)
				started[task.TaskID] = time.Now().Add(l.prepared)
			} else {
				script.Error = &tiwsim.Failure{After: tiwsim.Duration(l.prepared)}
			}
			stopped[task.TaskID] = time.Now().Add(l.prepared + l.pushing)
			if l.planned > 0 {
				task.ExpectedStopAt = began.Add(l.planned)
			}
			if err := tiw.Add(script); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Register(t.Context(), []watcher.Registration{task}, false); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour) // longer than any lesson
		synctest.Wait()

		if got := tiw.Stats()["school"].MaxInSecond; got > rate {
			t.Errorf("arrivals in one second = %d, want at most %d", got, rate)
		}
		near(t, "starts", s.late(started, watcher.PushStarted), starts)
		near(t, "stops", s.late(stopped, watcher.PushStopped, watcher.PushFailed), stops)
	})
}

// late returns how long after the truth the events of some types came, on average.
// There is one of them for each task that has one in truth.
func (s *scene) late(truth map[string]time.Time, types ...watcher.EventType) time.Duration {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, n := time.Duration(0), 0
	for _, d := range s.events {
		if !slices.Contains(types, d.Type) {
			continue
		}
		var e struct{ Time time.Time }
		if err := json.Unmarshal(d.Body, &e); err != nil {
			s.t.Fatalf("event %s: %v", d.Body, err)
		}
		sum += e.Time.Sub(truth[d.Task.TaskID])
		n++
	}
	if n != len(truth) {
		s.t.Fatalf("%v was reported %d times, want %d", types, n, len(truth))
	}
	return sum / time.Duration(n)
}

// near holds a mean delay against that of the simulation.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	t.Logf("mean delay of %s = %s, of the simulation's %s", what, got, want)
	if part := got.Seconds() / want.Seconds(); part < 0.8 || part > 1.2 {
		t.Errorf("mean delay of %s = %s, %.2f of the simulation's %s, want 0.8 to 1.2 of it", what, got, part, want)
	}
}
