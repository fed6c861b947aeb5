package tiwsim

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestConfigFromTOML(t *testing.T) {
	const file = `
limit = 5
count_rejected = true
latency = "20ms"
latency_max = "60ms"
seed = 7
region_error = "InvalidParameterValue"

[[accounts]]
name = "school"
secret_id = "AKIDschool"
secret_key = "key"
token = ""
sdk_app_ids = [1400000001]

[[tasks]]
sdk_app_id = 1400000001
task_id = "class-{n}"
count = 10
spread = "1m"
jitter = "2s"
start_after = "3s"
prepared_for = "2s"
pushing_for = "45m"
finish_reason = "AUTO"
exceptions = ["10s", "20m"]
backup = [{ after = "5s", value = "{}" }]
statuses = [{ after = "1s", value = "PAUSED" }, { after = "2s", value = "" }]
error = { after = "1h", code = "FailedOperation.WhiteboardPush", message = "gone" }
bare_after = "2h"
forget_after = "3h"
answer_task_id = "other"
shape = "null"
[[tasks.faults]]
kind = "fields"
from = "10s"
fields = { RoomId = '8.80528E5', Status = '{"a": "PUSHING"}' }
omit = ["RequestId"]
[[tasks.faults]]
kind = "body"
body = "<html>"

[[faults]]
kind = "http"
from = "1m"
for = "10s"
probability = 0.5
account = "school"
sdk_app_id = 1400000001
task_id = "class-1"
status = 503
[[faults]]
kind = "size"
size = 1_800_000
`
	want := Config{
		Limit: 5, CountRejected: true, Latency: seconds(0.02), LatencyMax: seconds(0.06), Seed: 7, RegionError: "InvalidParameterValue",
		Accounts: []Account{testAccount},
		Tasks: []Life{{
			SDKAppID: testApp, TaskID: "class-{n}", Count: 10, Spread: seconds(60), Jitter: seconds(2), StartAfter: seconds(3),
			PreparedFor: seconds(2), PushingFor: seconds(2700), FinishReason: "AUTO", Exceptions: []Duration{seconds(10), seconds(1200)},
			Backup: []Moment{{seconds(5), "{}"}}, Statuses: []Moment{{seconds(1), "PAUSED"}, {seconds(2), ""}},
			Error: &Failure{seconds(3600), "FailedOperation.WhiteboardPush", "gone"}, BareAfter: new(seconds(7200)),
			ForgetAfter: seconds(10800), AnswerTaskID: "other", Shape: ShapeNull,
			Faults: []Fault{
				{Kind: FaultFields, From: seconds(10), Fields: map[string]string{"RoomId": "8.80528E5", "Status": `{"a": "PUSHING"}`}, Omit: []string{"RequestId"}},
				{Kind: FaultBody, Body: "<html>"},
			},
		}},
		Faults: []Fault{
			{Kind: FaultHTTP, From: seconds(60), For: seconds(10), Probability: 0.5, Account: "school", SDKAppID: testApp, TaskID: "class-1", Status: 503},
			{Kind: FaultSize, Size: 1_800_000},
		},
	}
	var got Config
	if err := toml.NewDecoder(strings.NewReader(file)).DisallowUnknownFields().Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config = %+v, want %+v", got, want)
	}
	if _, err := New(got); err != nil {
		t.Errorf("New = %v, want no error", err)
	}

	text, err := toml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var again Config
	if err := toml.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if again.Tasks[0].PushingFor != want.Tasks[0].PushingFor {
		t.Errorf("pushing_for written and read again = %v, want %v", again.Tasks[0].PushingFor, want.Tasks[0].PushingFor)
	}
}

func TestNewTellsAllFaultsAtOnce(t *testing.T) {
	_, err := New(Config{
		Limit: -1, Latency: seconds(2), LatencyMax: seconds(1), RegionError: "NoSuchRegion",
		Accounts: []Account{
			{Name: "a", SecretID: "id", SecretKey: "very secret", SDKAppIDs: []int64{1, 1, 0}},
			{Name: "a", SecretID: "id"},
		},
		Tasks: []Life{
			{SDKAppID: 2, TaskID: "ä", Count: -1, Spread: -1, Jitter: -1, StartAfter: -1, PreparedFor: -1, PushingFor: -1, ForgetAfter: -1,
				Exceptions: []Duration{1}, Backup: []Moment{{After: -1}}, Statuses: []Moment{{After: -1}}, Error: &Failure{After: -1}, BareAfter: new(Duration(-1)), Shape: "round"},
			{SDKAppID: 1, TaskID: "same", Count: 2, PushingFor: 1},
			{SDKAppID: 1, TaskID: "b", PreparedFor: 1, PushingFor: 10, Exceptions: []Duration{5, 4, 10}},
			{SDKAppID: 1, TaskID: "c", Error: &Failure{Code: "Internal Error"}, Faults: []Fault{
				{Kind: FaultNull, TaskID: "c"}, {Kind: FaultLimit, Limit: 1}, {Kind: FaultError, From: -1},
			}},
		},
		Faults: []Fault{
			{Kind: "odd", From: -1, For: -1, Every: -1, Probability: 2, Account: "nobody"},
			{Kind: FaultThrottle, Code: "InternalError"}, {Kind: FaultHTTP, Status: 99}, {Kind: FaultRedirect, Status: 200, URL: "/x"}, {Kind: FaultLimit},
			{Kind: FaultError, Code: "Internal Error", Body: "x", Size: 1}, {Kind: FaultSize}, {Kind: FaultSize, Size: -1}, {Kind: FaultFields},
			{Kind: FaultFields, Fields: map[string]string{"Status": "PUSHING", "status": "1"}, Omit: []string{"Status", "Sta"}},
			{Kind: FaultCut, Status: 500, URL: "x", Limit: 1, Every: 1, Message: "m", Fields: map[string]string{"Status": "1"}, Omit: []string{"Status"}},
			{Kind: FaultLimit, Limit: 1, TaskID: "b"},
		},
	})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	if strings.Contains(err.Error(), "very secret") {
		t.Errorf("New = %v, want no secret in it", err)
	}
	var fields []string
	for line := range strings.Lines(err.Error()) {
		field, rest, ok := strings.Cut(line, " = ")
		if !ok || !strings.Contains(rest, ": want ") {
			t.Errorf("line %q, want field = value: want …", line)
		}
		fields = append(fields, field)
	}
	want := strings.Fields(`accounts[0].sdk_app_ids[1] accounts[0].sdk_app_ids[2]
		accounts[1].name accounts[1].secret_id accounts[1].secret_key limit latency_max region_error
		tasks[0].sdk_app_id tasks[0].task_id tasks[0].count tasks[0].spread tasks[0].jitter tasks[0].start_after
		tasks[0].prepared_for tasks[0].pushing_for tasks[0].forget_after tasks[0].exceptions[0]
		tasks[0].backup[0].after tasks[0].statuses[0].after tasks[0].error.after tasks[0].bare_after tasks[0].shape
		tasks[1].task_id tasks[1].pushing_for tasks[2].exceptions[1] tasks[2].exceptions[2]
		tasks[3].error.code tasks[3].faults[0].task_id tasks[3].faults[1].kind tasks[3].faults[2].from
		faults[0].account faults[0].kind faults[0].from faults[0].for faults[0].every faults[0].probability
		faults[1].code faults[2].status faults[3].status faults[3].url faults[4].limit
		faults[5].body faults[5].size faults[5].code faults[6].size faults[7].size faults[8].fields
		faults[9].fields.Status faults[9].fields faults[9].omit[1]
		faults[10].message faults[10].status faults[10].url faults[10].limit faults[10].every faults[10].fields faults[10].omit faults[11].kind`)
	if !reflect.DeepEqual(fields, want) {
		t.Errorf("fields at fault = %q, want %q", fields, want)
	}
}

func TestNewRefusesIDsTakenTwice(t *testing.T) {
	_, err := New(Config{Accounts: []Account{testAccount}, Tasks: []Life{
		{SDKAppID: testApp, TaskID: "a-2"}, {SDKAppID: testApp, TaskID: "a-{n}", Count: 3},
	}})
	want := `tasks[1].task_id = "a-2": want an id that is not taken in its application`
	if err == nil || err.Error() != want {
		t.Errorf("New = %v, want %s", err, want)
	}
	if _, err := New(Config{}); err == nil || !strings.HasPrefix(err.Error(), "accounts") {
		t.Errorf("New without accounts = %v, want an error that names them", err)
	}
}
