package tiwsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// outcome sends a request through rt and puts what comes of it into a word.
func outcome(rt http.RoundTripper, r *http.Request) string {
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "cut off"
	case resp.StatusCode != 200:
		return strings.Join([]string{resp.Status, resp.Header.Get("Content-Type"), resp.Header.Get("Location")}, "|")
	case strings.Contains(string(body), `"Status":"PUSHING"`):
		return "good"
	default:
		if _, code, ok := strings.Cut(string(body), `"Code":"`); ok {
			return code[:strings.Index(code, `"`)]
		}
		return string(body)
	}
}

// Every fault looks the same through a socket and through RoundTrip.
func TestFaults(t *testing.T) {
	other := Account{Name: "other", SecretID: "AKIDother", SecretKey: "k"}
	s := newService(t, Config{Accounts: []Account{testAccount, other}})
	s.Put(testApp, "a", Answer{Status: new("PUSHING")})
	server := httptest.NewServer(s)
	defer server.Close()
	socket := &http.Transport{}
	defer socket.CloseIdleConnections()

	for _, test := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Kind: FaultThrottle}, "RequestLimitExceeded"},
		{Fault{Kind: FaultThrottle, Code: "RequestLimitExceeded.UinLimitExceeded"}, "RequestLimitExceeded.UinLimitExceeded"},
		{Fault{Kind: FaultError}, "InternalError"},
		{Fault{Kind: FaultError, Code: "ResourceUnavailable.NotRegistered", SDKAppID: testApp}, "ResourceUnavailable.NotRegistered"},
		{Fault{Kind: FaultHTTP}, "502 Bad Gateway|text/html|"},
		{Fault{Kind: FaultHTTP, Status: 503}, "503 Service Unavailable|text/html|"},
		{Fault{Kind: FaultRedirect, URL: "https://elsewhere.example/"}, "302 Found||https://elsewhere.example/"},
		{Fault{Kind: FaultCut}, "cut off"},
		{Fault{Kind: FaultClose}, "no answer"},
		{Fault{Kind: FaultNull}, "null"},
		{Fault{Kind: FaultEmpty}, "{}"},
		{Fault{Kind: FaultBody, Body: "<html>"}, "<html>"},
		{Fault{Kind: FaultBody}, ""},
		{Fault{Kind: FaultFields, Fields: map[string]string{"RoomId": `"3b"`}}, "good"},
		{Fault{Kind: FaultSize, Size: 5}, "good"},
		{Fault{Kind: FaultSize, Size: 3_000_001}, "good"},
		{Fault{Kind: FaultSlow, Every: 1}, "good"},
		{Fault{Kind: FaultHang, For: seconds(0.01)}, "good"},
		{Fault{Kind: FaultNull, From: seconds(3600)}, "good"},
		{Fault{Kind: FaultNull, SDKAppID: 7}, "good"},
		{Fault{Kind: FaultNull, TaskID: "b"}, "good"},
		{Fault{Kind: FaultNull, Account: "other"}, "good"},
		{Fault{Kind: FaultNull, Account: "school", SDKAppID: testApp, TaskID: "a"}, "null"},
	} {
		for name, rt := range map[string]http.RoundTripper{"RoundTrip": s, "socket": socket} {
			stop, err := s.Inject(test.fault)
			if err != nil {
				t.Fatal(err)
			}
			c := ask("a")
			if name == "socket" {
				c.url = server.URL + "/"
			}
			if got := outcome(rt, c.request(t)); got != test.want {
				t.Errorf("%+v by %s: outcome = %q, want %q", test.fault, name, got, test.want)
			}
			stop()
			stop()
			if got := outcome(rt, c.request(t)); got != "good" {
				t.Errorf("%+v by %s: outcome after stop = %q, want good", test.fault, name, got)
			}
		}
	}
	results := s.Stats()["school"].Results
	if results[FaultCut] != 2 || results["InternalError"] != 2 || results[FaultNull] != 4 {
		t.Errorf("results = %v, want %s:2, InternalError:2, %s:4", results, FaultCut, FaultNull)
	}
}

func TestPlannedFaultsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Faults: []Fault{
			{Kind: FaultEmpty, From: seconds(10), For: seconds(5)},
			{Kind: FaultNull, From: seconds(12), For: seconds(10)},
		}})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		start := time.Now()
		for _, m := range []struct {
			after float64
			want  string
		}{{0, "good"}, {9.9, "good"}, {10, "{}"}, {14.9, "{}"}, {15, "null"}, {21.9, "null"}, {22, "good"}} {
			time.Sleep(time.Until(start.Add(time.Duration(seconds(m.after)))))
			if got := outcome(s, ask("a").request(t)); got != m.want {
				t.Errorf("outcome at %v s = %q, want %q", m.after, got, m.want)
			}
		}
	})
}

func TestHangLastsUntilCancelledOrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		stop, err := s.Inject(Fault{Kind: FaultHang})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = s.RoundTrip(ask("a").request(t).WithContext(ctx))
		if waited := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || waited != 5*time.Second {
			t.Errorf("RoundTrip = %v after %v, want the deadline after 5s", err, waited)
		}

		time.AfterFunc(time.Minute, stop)
		start = time.Now()
		got := outcome(s, ask("a").request(t))
		if waited := time.Since(start); got != "good" || waited != time.Minute {
			t.Errorf("outcome = %q after %v, want good after 1m", got, waited)
		}
	})
}

func TestProbability(t *testing.T) {
	s := newService(t, Config{Faults: []Fault{{Kind: FaultError, Probability: 0.25}}})
	s.Put(testApp, "a", Answer{Status: new("PUSHING")})
	const n = 2000
	for range n {
		do(t, s, ask("a"))
	}
	// The source of chance is seeded, so this is the same in every run.
	if got := s.Stats()["school"].Results["InternalError"]; got < n/5 || got > n*3/10 {
		t.Errorf("faults in %d requests = %d, want about a quarter", n, got)
	}
}

func TestLimitFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Limit: DefaultLimit, Faults: []Fault{{Kind: FaultLimit, Limit: 3, For: seconds(10)}}})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		good := func() (n int) {
			for range 30 {
				if outcome(s, ask("a").request(t)) == "good" {
					n++
				}
			}
			return n
		}
		if got := good(); got != 3 {
			t.Errorf("served at once under a limit of 3 = %d, want 3", got)
		}
		time.Sleep(10 * time.Second)
		if got := good(); got != DefaultLimit {
			t.Errorf("served at once after the fault = %d, want %d", got, DefaultLimit)
		}
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{Latency: seconds(0.02), LatencyMax: seconds(0.06)})
		shortest, longest := time.Hour, time.Duration(0)
		for range 200 {
			start := time.Now()
			do(t, s, ask("a"))
			shortest, longest = min(shortest, time.Since(start)), max(longest, time.Since(start))
		}
		if shortest < 20*time.Millisecond || shortest > 25*time.Millisecond || longest > 60*time.Millisecond || longest < 55*time.Millisecond {
			t.Errorf("latencies = %v to %v, want 20ms to 60ms", shortest, longest)
		}
	})
}

func TestInjectRefusesWhatCannotBe(t *testing.T) {
	s := newService(t, Config{})
	for _, f := range []Fault{{Kind: "odd"}, {Kind: FaultNull, Account: "nobody"}, {Kind: FaultLimit}} {
		if _, err := s.Inject(f); err == nil || !strings.HasPrefix(err.Error(), "inject fault: ") {
			t.Errorf("Inject(%+v) = %v, want an error of it", f, err)
		}
	}
}

// answerBody is the body of the answer about a task of testApp.
func answerBody(t *testing.T, s *Service, taskID string) string {
	t.Helper()
	response, err := s.RoundTrip(ask(taskID).request(t))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.ContentLength != int64(len(body)) {
		t.Errorf("body of %d bytes, %v, want %d", len(body), err, response.ContentLength)
	}
	return string(body)
}

func TestFieldsAreReplacedAndLeftOut(t *testing.T) {
	s := newService(t, Config{Faults: []Fault{{
		Kind: FaultFields, Fields: map[string]string{"RoomId": `8.80528E5`, "PushStopTime": `{"a":[1]}`, "RequestId": "null"}, Omit: []string{"Status", "Backup"},
	}}})
	s.Put(testApp, "a", Answer{Status: new("PUSHING"), GroupID: new("g"), Shape: ShapeNull})
	var got struct{ Response map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(answerBody(t, s, "a")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"RoomId": `8.80528E5`, "PushStopTime": `{"a":[1]}`, "RequestId": "null", "GroupId": `"g"`, "FinishReason": "null", "TaskId": "null",
		"PushUserId": "null", "PushStartTime": "null", "ExceptionCnt": "null", "IMSyncTime": "null",
	}
	for name, value := range got.Response {
		if string(value) != want[name] {
			t.Errorf("%s = %s, want %q", name, value, want[name])
		}
	}
	if len(got.Response) != len(want) {
		t.Errorf("answer = %s, want %v", got.Response, want)
	}
	if got := outcome(s, ask("unknown").request(t)); got != "InvalidParameter.TaskNotFound" {
		t.Errorf("outcome of an unknown task = %q, want it not to be changed", got)
	}
}

func TestSizeIsThatOfTheBody(t *testing.T) {
	for _, size := range []int64{1, 1000, 32<<10 + 7, 3_000_000} {
		s := newService(t, Config{Faults: []Fault{{Kind: FaultSize, Size: size}}})
		s.Put(testApp, "a", Answer{Status: new("PUSHING")})
		body := answerBody(t, s, "a")
		if int64(len(body)) != max(size, int64(len(strings.ReplaceAll(body, " ", "")))) {
			t.Errorf("body of %d bytes, want %d", len(body), size)
		}
		if !json.Valid([]byte(body)) || !strings.HasSuffix(body, "}}") {
			t.Errorf("body = %.50s…, want it to be JSON to its last byte", body)
		}
	}
}

// Each copy of a life has its faults at its own time; those of the scenario come first.
func TestFaultsOfALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Config{
			Tasks: []Life{{
				SDKAppID: testApp, TaskID: "a-{n}", Count: 2, Spread: seconds(20), PreparedFor: seconds(1),
				Faults: []Fault{
					{Kind: FaultError, Code: "InvalidParameterValue", From: seconds(12), For: seconds(5)},
					{Kind: FaultFields, Omit: []string{"Status"}, From: seconds(15)},
				},
			}},
			Faults: []Fault{{Kind: FaultNull, From: seconds(24), For: seconds(1)}},
		})
		start := time.Now()
		for _, m := range []struct {
			after         float64
			first, second string
		}{
			{2, "good", "InvalidParameter.TaskNotFound"}, {11.9, "good", "good"}, {12, "InvalidParameterValue", "good"},
			{16.9, "InvalidParameterValue", "good"}, {17, "no Status", "good"}, {22, "no Status", "InvalidParameterValue"},
			{24, "null", "null"}, {25, "no Status", "InvalidParameterValue"}, {27, "no Status", "no Status"},
		} {
			time.Sleep(time.Until(start.Add(time.Duration(seconds(m.after)))))
			for id, want := range map[string]string{"a-1": m.first, "a-2": m.second} {
				got := outcome(s, ask(id).request(t))
				if strings.Contains(got, "PushUserId") && !strings.Contains(got, "Status") {
					got = "no Status"
				}
				if got != want {
					t.Errorf("outcome of %s at %v s = %q, want %q", id, m.after, got, want)
				}
			}
		}
		s.Put(testApp, "a-1", Answer{Status: new("PUSHING")})
		if got := outcome(s, ask("a-1").request(t)); got != "good" {
			t.Errorf("outcome after Put = %q, want good", got)
		}
	})
}
