package tencent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"pushwatch/watcher"
	"pushwatch/watcher/tiwsim"
)

// pipes is a listener of pipes, for servers within a synctest bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error {
	close(p)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the near end of a connection that the listener accepts.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

// serveSimulated returns a client of a simulated service with one push, which has faults.
// It works within a synctest bubble.
func serveSimulated(t *testing.T, faults []tiwsim.Fault) (*Client, *observer.ObservedLogs) {
	t.Helper()
	service, err := tiwsim.New(tiwsim.Config{
		Accounts: []tiwsim.Account{{
			Name: "school", SecretID: testKeys.SecretID, SecretKey: testKeys.SecretKey, Token: testKeys.Token, SDKAppIDs: []int64{testKey.SDKAppID},
		}},
		Tasks: []tiwsim.Life{{SDKAppID: testKey.SDKAppID, TaskID: testKey.TaskID, PreparedFor: 1, Faults: faults}},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := make(pipes)
	server := &http.Server{Handler: service}
	go server.Serve(listener)
	client := newTestClient(t, "http://127.0.0.1:1")
	client.transport.http.DialContext = listener.dial
	logs, log := observe()
	client.log = log
	t.Cleanup(func() {
		client.transport.http.CloseIdleConnections()
		server.Close()
	})
	return client, logs
}

// poll asks as the engine does, and puts the outcome into words: the Status, or the kind
// of the error, its code and how far the request came.
func poll(t *testing.T, client *Client) string {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, fmt.Errorf("no answer within 5s"))
	defer cancel()
	push, err := client.Describe(ctx, testKey)
	switch {
	case err != nil:
		fault := cloudError(t, err)
		return fmt.Sprintf("%s, %s, %s", fault.Kind, fault.Code, fault.Sent)
	case push.Status == nil:
		return "no Status"
	default:
		return *push.Status
	}
}

// Each way in which a push cannot be observed, for a minute of its life: what the engine
// learns at a poll before, at two within, and at one after it, and what is logged.
func TestWhatCannotBeObserved(t *testing.T) {
	fields := func(name, value string) tiwsim.Fault {
		return tiwsim.Fault{Kind: tiwsim.FaultFields, Fields: map[string]string{name: value}}
	}
	code := func(code string) tiwsim.Fault { return tiwsim.Fault{Kind: tiwsim.FaultError, Code: code} }
	const answered = ", answered"
	refused := watcher.Refused.String()
	for _, test := range []struct {
		name   string
		fault  tiwsim.Fault
		want   string // of both polls or, with a semicolon, of each
		logged string // fields and their JSON types
	}{
		{"transient code", code("InternalError"), "transient, InternalError" + answered, ""},
		{"unknown code", code("Nobody.KnowsThis"), "transient, Nobody.KnowsThis" + answered, ""},
		{"throttled", tiwsim.Fault{Kind: tiwsim.FaultThrottle}, "throttled, RequestLimitExceeded" + answered, ""},
		{"parameter code", code("InvalidParameter"), refused + ", InvalidParameter" + answered, ""},
		{"parameter value", code("InvalidParameterValue"), refused + ", InvalidParameterValue" + answered, ""},
		{"missing parameter", code("MissingParameter"), refused + ", MissingParameter" + answered, ""},
		{"unknown parameter", code("UnknownParameter"), refused + ", UnknownParameter" + answered, ""},
		{"region", code("UnsupportedRegion"), refused + ", UnsupportedRegion" + answered, ""},
		{"application", code("ResourceUnavailable.NotRegistered"), "application denied, ResourceUnavailable.NotRegistered" + answered, ""},
		{"account", code("AuthFailure.SignatureFailure"), "account denied, AuthFailure.SignatureFailure" + answered, ""},

		{"HTML", tiwsim.Fault{Kind: tiwsim.FaultBody, Body: "<html>"}, "transient, unreadable" + answered, ""},
		{"no text", tiwsim.Fault{Kind: tiwsim.FaultBody}, "transient, unreadable" + answered, ""},
		{"half a text", tiwsim.Fault{Kind: tiwsim.FaultBody, Body: pageAnswer[:300]}, "transient, unreadable" + answered, ""},
		{"null", tiwsim.Fault{Kind: tiwsim.FaultNull}, "transient, unreadable" + answered, ""},
		{"empty object", tiwsim.Fault{Kind: tiwsim.FaultEmpty}, "transient, unreadable" + answered, ""},
		{"1.8 MB", tiwsim.Fault{Kind: tiwsim.FaultSize, Size: 1_800_000}, "transient, unreadable" + answered, ""},
		{"as much as is read", tiwsim.Fault{Kind: tiwsim.FaultSize, Size: maxBody}, "PUSHING", ""},

		{"Status of another type", fields("Status", `{"Value":"PUSHING"}`), "transient, unreadable" + answered, "Status object"},
		{"no Status", tiwsim.Fault{Kind: tiwsim.FaultFields, Omit: []string{"Status"}}, "no Status", ""},
		{"neither Status nor RequestId", tiwsim.Fault{Kind: tiwsim.FaultFields, Omit: []string{"Status", "RequestId"}}, "transient, unreadable" + answered, ""},
		{"RoomId of another type", fields("RoomId", `"class-3b"`), "PUSHING", "RoomId string"},
		{"RoomId in another notation", fields("RoomId", `8.80528E5`), "PUSHING", ""},
		{"ExceptionCnt as text", fields("ExceptionCnt", `"0"`), "PUSHING", ""},
		{"PushStartTime too large", fields("PushStartTime", `1e30`), "PUSHING", "PushStartTime number"},
		{"fields left out", tiwsim.Fault{Kind: tiwsim.FaultFields, Omit: []string{"RoomId", "ExceptionCnt", "RequestId"}}, "PUSHING", ""},

		{"timeout", tiwsim.Fault{Kind: tiwsim.FaultHang}, "transient, timeout, unanswered", ""},
		{"slow", tiwsim.Fault{Kind: tiwsim.FaultSlow, Every: tiwsim.Duration(time.Second)}, "transient, timeout, unanswered", ""},
		{"cut answer", tiwsim.Fault{Kind: tiwsim.FaultCut}, "transient, network, unanswered", ""},
		{"closed", tiwsim.Fault{Kind: tiwsim.FaultClose}, "transient, network, dropped; transient, network, unanswered", ""}, // kept, then fresh
		{"gateway", tiwsim.Fault{Kind: tiwsim.FaultHTTP}, "transient, http 502" + answered, ""},
		{"redirect", tiwsim.Fault{Kind: tiwsim.FaultRedirect, URL: "https://elsewhere.example/"}, "transient, http 302" + answered, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.fault.From, test.fault.For = tiwsim.Duration(time.Minute), tiwsim.Duration(time.Minute)
				client, logs := serveSimulated(t, []tiwsim.Fault{test.fault})
				begin := time.Now()
				var got []string
				for _, at := range []time.Duration{50, 61, 75, 121} {
					time.Sleep(time.Until(begin.Add(at * time.Second)))
					got = append(got, poll(t, client))
				}
				first, second, differ := strings.Cut(test.want, "; ")
				if !differ {
					second = first
				}
				if want := []string{"PUSHING", first, second, "PUSHING"}; !slices.Equal(got, want) {
					t.Errorf("polls = %q, want %q", got, want)
				}
				var lines []string
				for _, line := range logs.All() {
					lines = append(lines, fmt.Sprint(line.ContextMap()["field"], " ", line.ContextMap()["json_type"]))
				}
				if logged := strings.Join(lines, ", "); logged != test.logged {
					t.Errorf("logged %q, want %q", logged, test.logged)
				}
			})
		})
	}
}
