package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// A blindCase is something that keeps a push, an application or an account from being
// observed for a while, and whom the daemon reports as blind, with which error.
type blindCase struct {
	subject string // of push.blind or watcher.blind; empty: nothing is reported
	code    string
	fault   tiwsim.Fault
}

// blindCases are by the task id of the push concerned, or by the account's name where all
// its pushes are.
var blindCases = map[string]blindCase{
	"transient": {"1400000001/transient", "InternalError", tiwsim.Fault{Kind: tiwsim.FaultError}},
	"parameter": {"1400000001/parameter", "InvalidParameterValue", tiwsim.Fault{Kind: tiwsim.FaultError, Code: "InvalidParameterValue"}},
	"html":      {"1400000001/html", "unreadable", tiwsim.Fault{Kind: tiwsim.FaultBody, Body: "<html>"}},
	"large":     {"1400000001/large", "unreadable", tiwsim.Fault{Kind: tiwsim.FaultSize, Size: 1_800_000}},
	"status":    {"1400000001/status", "unreadable", tiwsim.Fault{Kind: tiwsim.FaultFields, Fields: map[string]string{"Status": `{"Value":"PUSHING"}`}}},
	"room":      {"", "", tiwsim.Fault{Kind: tiwsim.FaultFields, Fields: map[string]string{"RoomId": `"class-3b"`}}},
	"hang":      {"1400000001/hang", "timeout", tiwsim.Fault{Kind: tiwsim.FaultHang}},
	"cut":       {"1400000001/cut", "network", tiwsim.Fault{Kind: tiwsim.FaultCut}},
	"well":      {},
	"refused":   {"refused/1400000004", "InvalidParameterValue", tiwsim.Fault{Kind: tiwsim.FaultError, Code: "InvalidParameterValue", SDKAppID: 1400000004}},
	"down":      {"down", "http 502", tiwsim.Fault{Kind: tiwsim.FaultHTTP, Account: "down"}},
}

// TestBlind has each case for twenty seconds: each is reported once, at the level
// of its cause, and once more when it is over. Nobody else is, and no push fails.
func TestBlind(t *testing.T) {
	t.Parallel()
	scenario := tiwsim.Config{Accounts: []tiwsim.Account{
		testAccount(0),
		{Name: "refused", SecretID: "AKIDrefused", SecretKey: "key", SDKAppIDs: []int64{1400000003, 1400000004}},
		{Name: "down", SecretID: "AKIDdown", SecretKey: "key", SDKAppIDs: []int64{1400000005, 1400000006}},
	}}
	live := func(app int64, id string, count int) *tiwsim.Life {
		scenario.Tasks = append(scenario.Tasks, tiwsim.Life{SDKAppID: app, TaskID: id, Count: count, PreparedFor: tiwsim.Duration(time.Second)})
		return &scenario.Tasks[len(scenario.Tasks)-1]
	}
	want := make(map[string][]string)
	for name, c := range blindCases {
		if c.subject != "" {
			want[c.subject] = []string{"blind " + c.code, "sighted"}
		}
		c.fault.From, c.fault.For = tiwsim.Duration(8*time.Second), tiwsim.Duration(20*time.Second)
		switch {
		case c.fault.Account != "" || c.fault.SDKAppID != 0:
			scenario.Faults = append(scenario.Faults, c.fault)
		case c.fault.Kind != "":
			live(1400000001, name, 1).Faults = []tiwsim.Fault{c.fault}
		}
	}
	live(1400000001, "well-{n}", 9)
	live(1400000001, "glitch-{n}", 6).Faults = []tiwsim.Fault{{
		Kind: tiwsim.FaultError, Code: "FailedOperation.WhiteboardPush", From: tiwsim.Duration(8 * time.Second), For: tiwsim.Duration(400 * time.Millisecond),
	}}
	for app := int64(1400000003); app <= 1400000006; app++ {
		live(app, "class-{n}", 3)
	}
	s := newScene(t, scenario, notifytest.Config{})
	s.settings = "watch.blind_after = \"4s\"\nwatch.max_staleness = \"2s\"\nwatch.request_timeout = \"3s\"\n" + s.settings + taskTables(scenario.Tasks...)
	p, _ := s.serve(t, sqliteURL(t))

	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	s.receiver.Wait(ctx, func(ds []notifytest.Delivery) bool { return maps.EqualFunc(reported(t, ds), want, slices.Equal) })
	time.Sleep(3 * time.Second) // for what must not follow
	if got := reported(t, s.receiver.Deliveries()); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("reported %v\nwant %v\n%s", got, want, p.log)
	}
	s.checkLimit(t, 20)
}

// reported are the events by their subject, but for those of a push that begins.
func reported(t *testing.T, ds []notifytest.Delivery) map[string][]string {
	got := make(map[string][]string)
	for _, d := range ds {
		if d.Event.Type == "push.preparing" || d.Event.Type == "push.started" {
			continue
		}
		var data struct{ Error *struct{ Code string } }
		if err := json.Unmarshal(d.Event.Data, &data); err != nil {
			t.Fatal(err)
		}
		_, what, _ := strings.Cut(d.Event.Type, ".")
		if data.Error != nil {
			what += fmt.Sprint(" ", data.Error.Code)
		}
		got[d.Event.Subject] = append(got[d.Event.Subject], what)
	}
	return got
}
