package tiwsim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The ids in the scenario of [Demo] that a caller may want to name.
const (
	DemoSDKAppID = 1400000001
	// DemoUnknownTaskID is never known to the service.
	DemoUnknownTaskID = "demo-mistyped-id"
)

// Demo is a lively scenario for one account: classes of every kind within the
// first 18 s, then a new one every 5 s for at least 10 minutes. It is the same
// every time. [DemoUnknownTaskID] is in it as a task whose life does not begin
// within a month. A speed above 1 makes all times of the lives shorter by that
// factor; it is held between 0.1 and 100.
func Demo(speed float64) Config {
	speed = min(max(speed, 0.1), 100)
	s := func(seconds float64) Duration { return Duration(seconds / speed * float64(time.Second)) }
	const illegalUserSig = "code: 40006, msg: push aborted: TRTC onError, code: -70003, msg: The UserSig in use is illegal"

	tasks := []Life{
		{TaskID: "demo-math-3b", PreparedFor: s(2), PushingFor: s(12), Exceptions: []Duration{s(4), s(7)}},
		{TaskID: "demo-physics-2a", PreparedFor: s(1), PushingFor: s(9), Exceptions: []Duration{s(3), s(6)}, FinishReason: "EXCEPTION"},
		{TaskID: "demo-chemistry-1c", Error: &Failure{After: s(6), Message: illegalUserSig}},
		{TaskID: "demo-music-4d", StartAfter: s(1), PreparedFor: s(2), PushingFor: s(13), FinishReason: "AUTO"},
		{TaskID: "demo-art-2c"}, // never leaves PREPARED
		{TaskID: DemoUnknownTaskID, StartAfter: Duration(1000 * time.Hour)},
	}

	rng := rand.New(rand.NewPCG(1, 1))
	between := func(low, high float64) Duration { return s(low + rng.Float64()*(high-low)) }
	subjects := []string{"math", "physics", "chemistry", "biology", "music", "history", "english", "geography", "art"}
	classes := int(10 * 60 / 5 * max(speed, 1))
	for n := range classes {
		life := Life{
			TaskID:      fmt.Sprintf("demo-%s-%d", subjects[n%len(subjects)], n+1),
			StartAfter:  s(15 + 5*float64(n)),
			PreparedFor: between(1, 4),
			PushingFor:  between(12, 50),
		}
		switch n % 8 {
		case 1:
			life.FinishReason = "AUTO"
		case 2:
			life.FinishReason = "EXCEPTION"
			life.Exceptions = []Duration{between(2, 5), between(6, 11)}
		case 3:
			life.Error = &Failure{After: between(5, 12), Message: illegalUserSig}
		case 4:
			life.Backup = []Moment{
				{After: between(5, 7), Value: `{"TaskId":"backup-1"}`},
				{After: between(8, 10), Value: `{"TaskId":"backup-2"}`},
			}
		case 5:
			life.Exceptions = []Duration{between(1, 3), between(4, 6), between(7, 11)}
		case 6:
			life.Statuses = []Moment{{After: between(5, 6), Value: "PAUSED"}, {After: between(9, 10)}}
		case 7:
			life.AnswerTaskID = fmt.Sprintf("answered-as-%d", n+1)
			life.PushingFor = between(60, 120)
		}
		tasks = append(tasks, life)
	}
	for i := range tasks {
		tasks[i].SDKAppID = DemoSDKAppID
	}

	return Config{
		Accounts: []Account{{
			Name:      "demo",
			SecretID:  "AKIDpushwatchdemo",
			SecretKey: "pushwatch-demo-key",
			SDKAppIDs: []int64{DemoSDKAppID},
		}},
		Latency:    Duration(20 * time.Millisecond),
		LatencyMax: Duration(60 * time.Millisecond),
		Tasks:      tasks,
		Faults:     []Fault{{Kind: FaultHTTP, Probability: 0.01}},
	}
}
