package tencent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pushwatch/watcher"
)

// decode reads an answer as the SDK does.
func decode(body []byte) (*describeResponse, error) {
	response := new(describeResponse)
	err := tchttp.ParseFromHttpResponse(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, response)
	return response, err
}

func TestOneFieldThatCannotBeReadCostsItself(t *testing.T) {
	const whole = `{"Response":{"RequestId":"r1","Status":"STOPPED","FinishReason":"AUTO","RoomId":880528,"GroupId":"g",` +
		`"PushUserId":"u","PushStartTime":1,"PushStopTime":2,"ExceptionCnt":3,"IMSyncTime":4,"Backup":"b","TaskId":"t"}}`
	want := func(change func(*watcher.Push)) watcher.Push {
		p := watcher.Push{
			Status: new("STOPPED"), FinishReason: new("AUTO"), RoomID: new(int64(880528)), GroupID: new("g"), PushUserID: new("u"),
			PushStartTime: new(int64(1)), PushStopTime: new(int64(2)), ExceptionCount: new(int64(3)), IMSyncTime: new(int64(4)),
			Backup: new("b"), RequestID: new("r1"),
		}
		change(&p)
		return p
	}
	for _, test := range []struct {
		old, put   string
		want       watcher.Push
		unreadable string
	}{
		{`"x"`, `"x"`, want(func(*watcher.Push) {}), ""},
		{`"RoomId":880528`, `"RoomId":"class-3b"`, want(func(p *watcher.Push) { p.RoomID = nil }), "RoomId string"},
		{`"RoomId":880528`, `"RoomId":8.80528E5`, want(func(*watcher.Push) {}), ""},
		{`"RoomId":880528`, `"RoomId":"880528"`, want(func(*watcher.Push) {}), ""},
		{`"RoomId":880528`, `"RoomId":{"Status":"PUSHING"}`, want(func(p *watcher.Push) { p.RoomID = nil }), "RoomId object"},
		{`"RoomId":880528`, `"RoomId":[[{}, "]"], "\\\""]`, want(func(p *watcher.Push) { p.RoomID = nil }), "RoomId array"},
		{`"ExceptionCnt":3`, `"ExceptionCnt":true`, want(func(p *watcher.Push) { p.ExceptionCount = nil }), "ExceptionCnt boolean"},
		{`"ExceptionCnt":3`, `"ExceptionCnt":3.5`, want(func(p *watcher.Push) { p.ExceptionCount = nil }), "ExceptionCnt number"},
		{`"PushStopTime":2`, `"PushStopTime":9223372036854775808`, want(func(p *watcher.Push) { p.PushStopTime = nil }), "PushStopTime number"},
		{`"PushStopTime":2`, `"PushStopTime":null`, want(func(p *watcher.Push) { p.PushStopTime = nil }), ""},
		{`"FinishReason":"AUTO"`, `"FinishReason":{}`, want(func(p *watcher.Push) { p.FinishReason = nil }), "FinishReason object"},
		{`"GroupId":"g"`, `"GroupId":880528`, want(func(p *watcher.Push) { p.GroupID = nil }), "GroupId number"},
		{`"GroupId":"g"`, `"GroupId":"\u0067\ud800"`, want(func(p *watcher.Push) { p.GroupID = new("g\ufffd") }), ""},
		{`"GroupId":"g"`, "\"GroupId\":\"g\xff\"", want(func(p *watcher.Push) { p.GroupID = new("g\ufffd") }), ""},
		{`"RequestId":"r1"`, `"RequestId":1`, want(func(p *watcher.Push) { p.RequestID = nil }), "RequestId number"},
		{`"TaskId":"t"`, `"TaskId":[7]`, want(func(*watcher.Push) {}), ""},
		{`"TaskId":"t"`, `"Error":null`, want(func(*watcher.Push) {}), ""},
		{`"TaskId":"t"`, `"Error":"no"`, want(func(*watcher.Push) {}), "Error string"},
		{`"TaskId":"t"`, `"Error":{"Message":"no"}`, want(func(*watcher.Push) {}), ""},
		{`"TaskId":"t"`, `"Error":{"Code":"InvalidParameter.TaskNotFound"}`, want(func(*watcher.Push) {}), ""},
		{`"TaskId":"t"`, `"Status":null`, want(func(*watcher.Push) {}), ""},
		{`"TaskId":"t"`, `"Status":7`, want(func(*watcher.Push) {}), "Status number"},
		{`"TaskId":"t"`, `"Status":"PUSHING"`, want(func(p *watcher.Push) { p.Status = new("PUSHING") }), ""},
		{`"TaskId":"t"`, `"STATUS":"PUSHING"`, want(func(*watcher.Push) {}), ""},
		{`"Status":"STOPPED"`, `"status":"STOPPED"`, want(func(*watcher.Push) {}), ""},
		{`"Status":"STOPPED"`, `"\u0053tatus":"STOPPED"`, want(func(*watcher.Push) {}), ""},
		{`"Status":"STOPPED"`, `"status":"PUSHING","Status":"STOPPED"`, want(func(*watcher.Push) {}), ""},
		{`{"Response":`, `{"response":{"Status":"PUSHING"},"Response":`, want(func(*watcher.Push) {}), ""},
		{`"t"}}`, `"t"},"response":{"Status":"PUSHING"}}`, want(func(*watcher.Push) {}), ""},
		{`{"Response":`, "\ufeff \n{\"code\":0, \"Response\" : ", want(func(*watcher.Push) {}), ""},
	} {
		body := strings.Replace(whole, test.old, test.put, 1)
		logs, log := observe()
		counted := ""
		client := serve(t, answer(body))
		client.log, client.countUnreadable = log, func(field string) { counted += field }
		got, err := client.Describe(t.Context(), testKey)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("Describe() of %s = %s, %v, want %s", body, show(got), err, show(test.want))
		}
		var logged strings.Builder
		for _, line := range logs.All() {
			logged.WriteString(fmt.Sprint(line.ContextMap()["field"], " ", line.ContextMap()["json_type"]))
		}
		field, _, _ := strings.Cut(test.unreadable, " ")
		if logged.String() != test.unreadable || counted != field {
			t.Errorf("with %s, logged %q and counted %q, want %q and %q", test.put, logged.String(), counted, test.unreadable, field)
		}
	}
}

func observe() (*observer.ObservedLogs, *zap.Logger) {
	core, logs := observer.New(zap.InfoLevel)
	return logs, zap.New(core)
}

func TestAFieldIsLoggedOnceAndCountedAlways(t *testing.T) {
	logs, log := observe()
	counts := make(map[string]int)
	client := serve(t, answer(`{"Response":{"RequestId":"r","Status":"PUSHING","RoomId":"a","GroupId":7}}`))
	client.log, client.countUnreadable = log, func(field string) { counts[field]++ }
	for range 3 {
		if _, err := client.Describe(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]int{"RoomId": 3, "GroupId": 3}; !reflect.DeepEqual(counts, want) || logs.Len() != 2 {
		t.Errorf("counted %v in %d log lines, want %v in 2", counts, logs.Len(), want)
	}
	line := logs.All()[0].ContextMap()
	if line["task"] != testKey.TaskID || line["sdk_app_id"] != testKey.SDKAppID {
		t.Errorf("log line = %v, want the push it was seen at", line)
	}
}

// The service and the push are named by an error beside fields of any kind.
func TestAnErrorBesideFields(t *testing.T) {
	for body, want := range map[string]watcher.Kind{
		`{"Response":{"Status":"STOPPED","Error":{"Code":"FailedOperation.WhiteboardPush"}}}`:    watcher.FailedTask,
		`{"Response":{"Status":"","RoomId":0,"Error":{"Code":"InvalidParameter.TaskNotFound"}}}`: watcher.UnknownTask,
		`{"Response":{"Status":null,"error":{"code":"InvalidParameter.TaskNotFound"}}}`:          watcher.UnknownTask,
		`{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":[]}, "RequestId":{}}}`:    watcher.Throttled,
		`{"code":"4100","codeDesc":"AuthFailure","message":7}`:                                   watcher.DeniedAccount,
		`{"code":4100,"codeDesc":7}`:                                                              watcher.Transient,
		`{"code":4100,"codeDesc":"AuthFailure","Response":null}`:                                  watcher.DeniedAccount,
		`{"Response":{"RequestId":"r","Error":{"Code":"InternalError"},"Status":["a"]},"code":0}`: watcher.Transient,
	} {
		if got := describe(t, serve(t, answer(body))); got.Kind != want || got.Code == "" {
			t.Errorf("Describe() of %s = %#v, want kind %v", body, got, want)
		}
	}
}

func TestParseInteger(t *testing.T) {
	for in, want := range map[string]string{ // "": none
		"0": "0", "-0": "0", "7": "7", "-7": "-7", `"0"`: "0", `"-7"`: "-7", `"007"`: "7",
		"8.80528E5": "880528", "1796020983.0": "1796020983", "1e0": "1", "1E+2": "100", "-1.50e1": "-15",
		"100e-2": "1", "0.0": "0", "0e9": "0", "0.001e3": "1", `"8.80528e5"`: "880528", "0.00": "0",
		"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808",
		"9223372036854775807.0": "9223372036854775807", "9007199254740993.0": "9007199254740993",
		"9223372036854775808": "", "-9223372036854775809": "", "1e19": "", "1e30": "", "1e999999999999": "", "-1e400": "",
		"1.5": "", "1e-1": "", "1e-999999999999": "", "0.1": "", "123.456e2": "",
		`""`: "", `"a"`: "", `"1x"`: "", `" 1"`: "", `"1,5"`: "", `"0x10"`: "", `"1_000"`: "", `"--1"`: "", `"e5"`: "", `"1e"`: "",
		`".5"`: "", `"NaN"`: "", `"Infinity"`: "", "true": "", "{}": "", "[1]": "",
	} {
		number, ok := parseInteger(gjson.Parse(in))
		got := ""
		if ok {
			got = fmt.Sprint(number)
		}
		if got != want {
			t.Errorf("parseInteger(%s) = %q, want %q", in, got, want)
		}
	}
}

// Every value in the place of every other field leaves the stop.
func TestNoFieldLosesTheStop(t *testing.T) {
	values := []string{
		`null`, `true`, `0`, `-1.5e-7`, `1e999`, `""`, `"STOPPED"`, `"\\\"}"`, `{}`, `[]`, `[[[{"a":"]"}]]]`, `{"Status":"PUSHING"}`,
		`{"Code":""}`, `{"Code":"InternalError"}`, "\"\xff\"", strings.Repeat("9", 5000), strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	}
	names := []string{"FinishReason", "RoomId", "GroupId", "PushUserId", "PushStartTime", "PushStopTime", "ExceptionCnt", "IMSyncTime",
		"Backup", "RequestId", "TaskId", "Error", "status", "New", "", "Response"}
	for _, name := range names {
		for _, value := range values {
			for _, body := range []string{
				fmt.Sprintf(`{"Response":{%q:%s,"Status":"STOPPED"}}`, name, value),
				fmt.Sprintf(`{"Response":{"Status":"STOPPED",%q:%s}}`, name, value),
				fmt.Sprintf(`{%q:%s,"Response":{"Status":"STOPPED"}}`, "x"+name, value),
			} {
				d, err := decode([]byte(body))
				if err == nil {
					var push watcher.Push
					push, err = d.result()
					if err == nil && deref(push.Status) == watcher.StatusStopped {
						continue
					}
				}
				t.Errorf("decode(%.200s) = %v, want STOPPED", body, err)
			}
		}
	}
}

// Whatever is done to an answer: it is read as the standard library reads it, and where
// that finds the Status STOPPED, so does a poll.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(pageAnswer))
	f.Add([]byte(`{"Response":{"RequestId":"r","Status":"STOPPED","RoomId":8.80528E5,"ExceptionCnt":"0","Error":null}}`))
	f.Add([]byte(`{"Response":{"Error":{"Code":"InternalError","Message":"m"},"Status":"STOPPED","status":null,"Backup":{"a":[1,"\\"]}}}`))
	f.Add([]byte(`{"code":4100,"codeDesc":"AuthFailure","message":"m","Response":[]}`))
	f.Add([]byte(`{"Response":{"\u0053tatus":"STOPPED","IMSyncTime":-1.0e-3,"PushStopTime":1e19}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var whole map[string]json.RawMessage
		var fields map[string]json.RawMessage
		valid := json.Unmarshal(body, &whole) == nil && whole != nil
		readable := valid && json.Unmarshal(whole["Response"], &fields) == nil
		d, err := decode(body)
		if (err == nil) != (valid || string(bytes.TrimSpace(body)) == "null") {
			t.Fatalf("decode(%q) = %v, want an error for what is no object alone", body, err)
		}
		if err != nil || !readable {
			return
		}
		push, err := d.result()
		fault, _ := err.(*watcher.CloudError)
		var status string
		if json.Unmarshal(fields["Status"], &status) == nil && status != "" && (fault == nil || fault.Kind != watcher.FailedTask) {
			if deref(push.Status) != status {
				t.Fatalf("Status of %q = %q, %v, want %q", body, deref(push.Status), err, status)
			}
		}
		if err != nil {
			return
		}
		for name, got := range map[string]*int64{"RoomId": push.RoomID, "PushStopTime": push.PushStopTime, "IMSyncTime": push.IMSyncTime} {
			if bytes.Count(bytes.ToLower(body), []byte(strings.ToLower(name))) == 1 { // else another one can have been read
				checkInteger(t, name, fields[name], got)
			}
		}
	})
}

// checkInteger compares what was read of a number with exact arithmetic.
func checkInteger(t *testing.T, name string, raw json.RawMessage, got *int64) {
	if len(raw) == 0 || len(raw) > 40 || strings.IndexByte("-0123456789", raw[0]) < 0 {
		return // another type, or too much for exact arithmetic
	}
	if _, power, _ := strings.Cut(strings.ToLower(string(raw)), "e"); len(power) > 4 {
		return
	}
	exact, ok := new(big.Rat).SetString(string(raw))
	if !ok {
		t.Fatalf("%s = %s: not a number to math/big", name, raw)
	}
	if whole := exact.IsInt() && exact.Num().IsInt64(); whole != (got != nil) || whole && exact.Num().Int64() != *got {
		t.Fatalf("%s = %s is read as %v, want %s", name, raw, got, exact)
	}
}
