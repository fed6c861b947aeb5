package tiwsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// summary is the part of an answer that a life moves.
func summary(a answered) string {
	if a.Error != nil {
		return a.Error.Code
	}
	return fmt.Sprintf("%s %s +%s", show(a.Status), show(a.FinishReason), show(a.ExceptionCnt))
}

func TestLivesOverTime(t *testing.T) {
	type moment struct {
		after float64
		want  string
	}
	const notFound = "InvalidParameter.TaskNotFound"
	for _, test := range []struct {
		name    string
		life    Life
		moments []moment
	}{
		{"whole", Life{StartAfter: seconds(5), PreparedFor: seconds(3), PushingFor: seconds(10),
			Exceptions: []Duration{seconds(1), seconds(4)}, FinishReason: "AUTO", ForgetAfter: seconds(30)},
			[]moment{
				{0, notFound}, {4.9, notFound}, {5, "PREPARED none +0"}, {7.9, "PREPARED none +0"},
				{8, "PUSHING none +0"}, {9, "PUSHING none +1"}, {12, "PUSHING none +2"}, {17.9, "PUSHING none +2"},
				{18, "STOPPED AUTO +2"}, {47.9, "STOPPED AUTO +2"}, {48, notFound},
			}},
		{"stuck", Life{}, []moment{{0, "PREPARED none +0"}, {1e6, "PREPARED none +0"}}},
		{"endless", Life{PreparedFor: seconds(1)}, []moment{{1, "PUSHING none +0"}, {1e6, "PUSHING none +0"}}},
		{"default reason", Life{PreparedFor: seconds(1), PushingFor: seconds(1)}, []moment{{2, "STOPPED USER_CALL +0"}, {1e6, "STOPPED USER_CALL +0"}}},
		{"error", Life{PreparedFor: seconds(1), Error: &Failure{After: seconds(3)}, ForgetAfter: seconds(2)},
			[]moment{{2, "PUSHING none +0"}, {3, "FailedOperation.WhiteboardPush"}, {5, notFound}}},
		{"own code", Life{Error: &Failure{Code: "InternalError"}}, []moment{{0, "InternalError"}}},
		{"statuses", Life{PreparedFor: seconds(4), Statuses: []Moment{{seconds(1), "PUSHING"}, {seconds(2), "PAUSED"}, {seconds(3), ""}}},
			[]moment{{0, "PREPARED none +0"}, {1, "PUSHING none +0"}, {2, "PAUSED none +0"}, {3, "PREPARED none +0"}, {4, "PUSHING none +0"}}},
		{"bare", Life{PreparedFor: seconds(1), BareAfter: new(seconds(2))}, []moment{{1, "PUSHING none +0"}, {2, "none none +none"}, {9, "none none +none"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.life.SDKAppID, test.life.TaskID, test.life.Shape = testApp, "a", ShapeNull
				start := time.Now()
				s := newService(t, Config{Tasks: []Life{test.life}})
				for _, m := range test.moments {
					time.Sleep(time.Until(start.Add(time.Duration(seconds(m.after)))))
					if got, body := do(t, s, ask("a")); summary(got) != m.want {
						t.Errorf("answer at %v s = %s, want %s", m.after, body, m.want)
					}
				}
			})
		})
	}
}

func TestAnswerHasTheFieldsOfTheAPIPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newService(t, Config{Tasks: []Life{{
			SDKAppID: testApp, TaskID: "a", AnswerTaskID: "other",
			PreparedFor: seconds(1.5), PushingFor: seconds(10), Backup: []Moment{{seconds(2), `{"x":1}`}, {seconds(4), "second"}},
		}}})
		time.Sleep(3 * time.Second)
		got, body := do(t, s, ask("a"))
		room := show(got.RoomId)
		for _, f := range []struct{ name, got, want string }{
			{"TaskId", show(got.TaskId), "other"},
			{"GroupId", show(got.GroupId), room},
			{"PushUserId", show(got.PushUserId), fmt.Sprintf("tic_push_user_%s_%d", room, testApp)},
			{"PushStartTime", show(got.PushStartTime), fmt.Sprint(start.Unix() + 1)}, // floored
			{"Backup", show(got.Backup), `{"x":1}`},
		} {
			if f.got != f.want {
				t.Errorf("%s = %s, want %s, in %s", f.name, f.got, f.want, body)
			}
		}
		if len(room) != 6 {
			t.Errorf("RoomId = %s, want six digits", room)
		}
		time.Sleep(9 * time.Second)
		got, body = do(t, s, ask("a"))
		if show(got.PushStopTime) != fmt.Sprint(start.Unix()+11) || show(got.Backup) != "second" {
			t.Errorf("answer at the end = %s, want PushStopTime %d and the second Backup", body, start.Unix()+11)
		}
	})
}

func TestShapes(t *testing.T) {
	bodies := func(shape Shape) map[string]bool {
		s := newService(t, Config{Tasks: []Life{{SDKAppID: testApp, TaskID: "a", Shape: shape}}})
		seen := make(map[string]bool)
		for range 200 {
			_, body := do(t, s, ask("a"))
			switch {
			case strings.Contains(body, `"PushStopTime":null`):
				seen["null"] = true
			case strings.Contains(body, `"PushStopTime":0`):
				seen["empty"] = true
			case !strings.Contains(body, "PushStopTime"):
				seen["absent"] = true
			}
			if strings.HasPrefix(body, `{"Response":{"RequestId"`) {
				seen["RequestId first"] = true
			} else {
				seen["RequestId later"] = true
			}
		}
		return seen
	}
	for _, shape := range []Shape{ShapeNull, ShapeAbsent, ShapeEmpty} {
		want := map[string]bool{string(shape): true, "RequestId first": true, "RequestId later": true}
		if got := bodies(shape); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("answers in shape %q show %v, want %v", shape, got, want)
		}
	}
	if got := bodies(ShapeMixed); len(got) != 5 {
		t.Errorf("answers in mixed shape show %v, want all three and both orders", got)
	}
}

func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newService(t, Config{Seed: 1, Tasks: []Life{
			{SDKAppID: testApp, TaskID: "even-{n}", Count: 4, Spread: seconds(8), StartAfter: seconds(1)},
			{SDKAppID: testApp, TaskID: "late-{n}", Count: 50, Jitter: seconds(1)},
		}})
		for n := range 4 {
			truth := s.Truth(testApp, fmt.Sprintf("even-%d", n+1))
			if want := start.Add(time.Duration(1+2*n) * time.Second); len(truth) != 1 || !truth[0].At.Equal(want) {
				t.Errorf("Truth of copy %d = %v, want to begin at %v", n+1, truth, want)
			}
		}
		begins := make(map[time.Duration]bool)
		for n := range 50 {
			d := s.Truth(testApp, fmt.Sprintf("late-%d", n+1))[0].At.Sub(start)
			if d < 0 || d >= time.Second {
				t.Errorf("copy %d begins after %v, want below 1s", n+1, d)
			}
			begins[d] = true
		}
		if len(begins) < 40 {
			t.Errorf("50 copies begin at %d times, want them to differ", len(begins))
		}
	})
}

func TestFollowReportsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Tasks: []Life{
			{SDKAppID: testApp, TaskID: "a", PreparedFor: seconds(2), PushingFor: seconds(6), Exceptions: []Duration{seconds(1)}, ForgetAfter: seconds(9)},
			{SDKAppID: testApp, TaskID: "b", StartAfter: seconds(1), Error: &Failure{After: seconds(3)}, PreparedFor: seconds(10)},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var reported []Change
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Follow(ctx, func(c Change) {
				if !c.At.Equal(time.Now()) {
					t.Errorf("%v is reported at %v", c, time.Now())
				}
				reported = append(reported, c)
			})
		}()
		time.Sleep(5 * time.Second)
		if err := s.Add(Life{SDKAppID: testApp, TaskID: "c", PreparedFor: seconds(1)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		cancel()
		<-done

		var story []string
		for _, c := range reported {
			story = append(story, fmt.Sprintf("%s %s %s", c.TaskID, c.What, c.Detail))
		}
		want := []string{
			"a prepared ", "b prepared ", "a started ", "a exception 1", "b failed FailedOperation.WhiteboardPush",
			"c prepared ", "c started ", "a stopped USER_CALL", "a forgotten ",
		}
		if !slices.Equal(story, want) {
			t.Errorf("reported = %q, want %q", story, want)
		}
		truth := slices.Concat(s.Truth(testApp, "a"), s.Truth(testApp, "b"), s.Truth(testApp, "c"))
		slices.SortStableFunc(truth, func(a, b Change) int { return a.At.Compare(b.At) })
		if !slices.Equal(reported, truth) {
			t.Errorf("reported = %v, want the truth %v", reported, truth)
		}
	})
}

func TestPutAddRemove(t *testing.T) {
	s := newService(t, Config{})
	if err := s.Add(Life{SDKAppID: testApp, TaskID: "a"}); err != nil {
		t.Fatal(err)
	}
	status := func() string { got, _ := do(t, s, ask("a")); return summary(got) }
	if got, _ := do(t, s, ask("a")); show(got.Status) != "PREPARED" {
		t.Errorf("Status after Add = %s, want PREPARED", show(got.Status))
	}
	s.Put(testApp, "a", Answer{Status: new("STOPPED"), FinishReason: new(""), Shape: ShapeAbsent})
	if got, want := status(), "STOPPED  +none"; got != want {
		t.Errorf("answer after Put = %q, want %q", got, want)
	}
	if got := s.Truth(testApp, "a"); got != nil {
		t.Errorf("Truth after Put = %v, want none", got)
	}
	s.Put(testApp, "a", Answer{Err: &APIError{Code: "InternalError", Message: "x"}})
	if got, want := status(), "InternalError"; got != want {
		t.Errorf("answer after Put of an error = %q, want %q", got, want)
	}
	s.Put(testApp, "a", Answer{Raw: []byte(`{"Response":{"Status":"RAW"}}`)})
	if _, body := do(t, s, ask("a")); body != `{"Response":{"Status":"RAW"}}` {
		t.Errorf("answer after Put of raw bytes = %s, want them", body)
	}
	if got := s.TaskStats(testApp, "a").Polls; got != 4 {
		t.Errorf("polls = %d, want 4", got)
	}
	s.Remove(testApp, "a")
	if got, want := status(), "InvalidParameter.TaskNotFound"; got != want {
		t.Errorf("answer after Remove = %q, want %q", got, want)
	}
	for _, life := range []Life{{SDKAppID: 9, TaskID: "a"}, {SDKAppID: testApp, TaskID: "ä"}} {
		if err := s.Add(life); err == nil {
			t.Errorf("Add(%d, %q) = nil, want an error", life.SDKAppID, life.TaskID)
		}
	}
}

func TestTaskStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Tasks: []Life{{SDKAppID: testApp, TaskID: "a"}}})
		if got := s.TaskStats(testApp, "a"); got != (TaskStats{}) {
			t.Errorf("stats before any poll = %+v, want none", got)
		}
		for _, gap := range []time.Duration{time.Second, 5 * time.Second, 2 * time.Second} {
			time.Sleep(gap)
			do(t, s, ask("a"))
		}
		want := TaskStats{Polls: 3, Last: time.Now(), LongestGap: 5 * time.Second}
		if got := s.TaskStats(testApp, "a"); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
	})
}

func TestDemoIsLively(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		demo := Demo(1)
		s := newService(t, demo)
		early, minutes := make(map[string]bool), make(map[int]int)
		for _, life := range demo.Tasks {
			for _, c := range s.Truth(life.SDKAppID, life.TaskID) {
				after := c.At.Sub(start)
				if after <= 18*time.Second {
					early[strings.TrimSpace(string(c.What)+" "+c.Detail)] = true
				}
				if c.What != Prepared {
					minutes[int(after.Minutes())]++
				}
			}
		}
		for _, want := range []string{"started", "exception 1", "stopped USER_CALL", "stopped EXCEPTION", "stopped AUTO", "failed FailedOperation.WhiteboardPush"} {
			if !early[want] {
				t.Errorf("changes in the first 18 s = %v, want %q among them", early, want)
			}
		}
		for minute := range 10 {
			if minutes[minute] < 10 {
				t.Errorf("changes in minute %d = %d, want at least 10", minute, minutes[minute])
			}
		}
	})
}

func TestDemoSpeed(t *testing.T) {
	for _, speed := range []float64{0.1, 1, 7.5, 100} {
		demo := Demo(speed)
		if err := demo.validate(); err != nil {
			t.Errorf("Demo(%v): %v", speed, err)
		}
		last := demo.Tasks[len(demo.Tasks)-1]
		if end := time.Duration(last.StartAfter); end < 9*time.Minute+50*time.Second {
			t.Errorf("Demo(%v) has its last class at %v, want 10 minutes", speed, end)
		}
		if got, want := demo.Tasks[0].PreparedFor, seconds(2/speed); got != want {
			t.Errorf("Demo(%v) first prepares for %v, want %v", speed, got, want)
		}
	}
}
