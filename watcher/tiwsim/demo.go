package tiwsim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Ids in the scenario of [Demo].
const (
	DemoSDKAppID      = 1400000001
	DemoUnknownTaskID = "demo-mistyped-id" // never known to the service
)

// Demo returns a lively scenario for one account, always the same: classes of every kind within
// the first 18 s, then a new one every 5 s for at least 10 minutes. [DemoUnknownTaskID] is a task
// that begins after a month. speed divides all times; it is limited to 0.1 to 100.
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
