package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/notifytest"
	"pushwatch/watcher/tiwsim"
)

// TestFieldsThatCannotBeRead watches a push whose answers have fields of other types and
// in other notations, as public reports of the API's clients show them.
func TestFieldsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const app = 1400000001
	s := newScene(t, tiwsim.Config{Tasks: []tiwsim.Life{{
		SDKAppID: app, TaskID: "odd", StartAfter: tiwsim.Duration(time.Second),
		PreparedFor: tiwsim.Duration(2 * time.Second), PushingFor: tiwsim.Duration(4 * time.Second),
		Faults: []tiwsim.Fault{{Kind: tiwsim.FaultFields, Fields: map[string]string{
			"RoomId": `"class-3b"`, "ExceptionCnt": `"0"`, "PushStartTime": `1796020983.0`, "PushStopTime": `1.796020993E9`, "IMSyncTime": `1e30`,
		}}},
	}}}, notifytest.Config{})
	s.settings += taskTables(s.scenario.Tasks...)
	p, address := s.serve(t, sqliteURL(t))
	awaitEvents(t, p, s.receiver, 3)

	var types []string
	var last struct {
		Data struct{ Push map[string]any }
	}
	for _, d := range s.receiver.Deliveries() {
		types = append(types, d.Event.Type)
		if err := json.Unmarshal(d.Body, &last); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"push.preparing", "push.started", "push.stopped"}; !slices.Equal(types, want) {
		t.Errorf("events = %q, want %q", types, want)
	}
	for field, want := range map[string]any{
		"room_id": nil, "im_sync_time": nil, "exception_count": 0.0, "push_start_time": 1796020983.0, "push_stop_time": 1796020993.0,
	} {
		if got, ok := last.Data.Push[field]; !ok || got != want {
			t.Errorf("%s = %v, want %v", field, got, want)
		}
	}

	const message = "field of an answer cannot be read"
	if all := p.logged("warn", message); len(all) != 2 ||
		len(p.logged("warn", message, "field", "RoomId", "json_type", "string", "account", "school")) != 1 ||
		len(p.logged("warn", message, "field", "IMSyncTime", "json_type", "number")) != 1 {
		t.Errorf("log lines = %v, want one for RoomId and one for IMSyncTime", all)
	}
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	if want := `pushwatch_unreadable_fields_total{account="school",field="RoomId"} `; err != nil || !strings.Contains(string(metrics), want) {
		t.Errorf("metrics lack %s (%v)", want, err)
	}
}
