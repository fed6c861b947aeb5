package tencent

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"

	"pushwatch/watcher"
	"pushwatch/watcher/tiwsim"
)

// pageAnswer is the first example of the API page; its TaskId is not the one
// that the page's request asks for.
const pageAnswer = `{"Response": {
	"ExceptionCnt": 0, "FinishReason": "USER_CALL", "GroupId": "880528", "IMSyncTime": 0,
	"PushStartTime": 1610591726, "PushStopTime": 1610591759, "PushUserId": "tic_push_user_880528_test1",
	"RequestId": "d290f1ee-6c54-4b01-90e6-d701748f0851", "RoomId": 880528, "Status": "STOPPED",
	"Backup": "", "TaskId": "g42lfmu5uc3lpoqrqvvb"}}`

func TestNew(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		want   []string // in the error; none: no error
	}{
		{"defaults", Config{Credentials: testKeys}, nil},
		{"trailing slash", Config{Credentials: testKeys, Endpoint: "https://tiw.example/"}, nil},
		{"loopback", Config{Credentials: testKeys, Endpoint: "http://127.0.0.1:8080"}, nil},
		{"loopback by IPv6", Config{Credentials: testKeys, Endpoint: "http://[::1]:8080"}, nil},
		{"loopback by name", Config{Credentials: testKeys, Endpoint: "http://localhost:8080"}, nil},
		{"http", Config{Credentials: testKeys, Endpoint: "http://tiw.example"}, []string{`"http://tiw.example"`, "https"}},
		{"http to a like name", Config{Credentials: testKeys, Endpoint: "http://localhost.example"}, []string{"https"}},
		{"no scheme", Config{Credentials: testKeys, Endpoint: "tiw.example"}, []string{`"tiw.example"`}},
		{"other scheme", Config{Credentials: testKeys, Endpoint: "ftp://tiw.example"}, []string{`"ftp://tiw.example"`}},
		{"path", Config{Credentials: testKeys, Endpoint: "https://tiw.example/v1"}, []string{"host alone"}},
		{"query", Config{Credentials: testKeys, Endpoint: "https://tiw.example?a=b"}, []string{"host alone"}},
		{"password", Config{Credentials: testKeys, Endpoint: "https://a:hunter2@tiw.example"}, []string{"host alone"}},
		{"broken", Config{Credentials: testKeys, Endpoint: "https://a:hunter2@tiw example"}, []string{"endpoint"}},
		{"nothing", Config{Endpoint: "http://tiw.example"}, []string{"endpoint", "credentials"}},
		{"no id", Config{Credentials: Keys{SecretKey: "kkSecretKeykk"}}, []string{"secret id"}},
		{"no key", Config{Credentials: Keys{SecretID: "AKIDxxSecretIdxx"}}, []string{"secret key"}},
		{"line end", Config{Credentials: Keys{SecretID: "AKIDxxSecretIdxx\n", SecretKey: "kkSecretKeykk\n", Token: "ttTokentt\r"}},
			[]string{"secret id", "secret key", "token"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.config)
			if test.want == nil && err != nil || test.want != nil && err == nil {
				t.Fatalf("New() = %v, want an error with %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New() = %v, want %q in it", err, want)
				}
			}
			if err != nil {
				noSecrets(t, err.Error())
			}
		})
	}
}

func TestDescribeSendsASignedRequest(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{
			"X-TC-Action": "DescribeWhiteboardPush", "X-TC-Version": "2019-09-19", "X-TC-Region": "ap-singapore",
			"X-TC-Language": "en-US", "X-TC-Token": testKeys.Token, "Content-Type": "application/json",
			"Authorization": authorization(r, body, testKeys),
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("header %s = %q, want %q", name, got, want)
			}
		}
		var got map[string]any
		want := map[string]any{"SdkAppId": 1400000001.0, "TaskId": "ghucnligqtgtvk2624mb"}
		if err := json.Unmarshal(body, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("body = %s, want %v (%v)", body, want, err)
		}
		if r.Method != "POST" || r.URL.String() != "/" {
			t.Errorf("request = %s %s, want POST /", r.Method, r.URL)
		}
		answer(pageAnswer)(w, r)
	})
	if got := client.RoundTrip(); got != 0 {
		t.Errorf("RoundTrip() = %v before the first connection, want 0", got)
	}
	got, err := client.Describe(t.Context(), testKey)
	want := watcher.Push{
		Status: new("STOPPED"), FinishReason: new("USER_CALL"),
		RoomID: new(int64(880528)), GroupID: new("880528"), PushUserID: new("tic_push_user_880528_test1"),
		PushStartTime: new(int64(1610591726)), PushStopTime: new(int64(1610591759)),
		ExceptionCount: new(int64(0)), IMSyncTime: new(int64(0)), Backup: new(""),
		RequestID: new("d290f1ee-6c54-4b01-90e6-d701748f0851"),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %s, %v, want %s", show(got), err, show(want))
	}
	if got := client.RoundTrip(); got <= 0 && runtime.GOOS == "linux" || got >= synTimeout {
		t.Errorf("RoundTrip() = %v, want the round trip of a handshake", got)
	}
}

// authorization is the header that the method TC3-HMAC-SHA256 of API 3.0 asks for.
func authorization(r *http.Request, body []byte, keys Keys) string {
	digest := func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
	mac := func(key []byte, message string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, message)
		return h.Sum(nil)
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	seconds, _ := strconv.ParseInt(stamp, 10, 64)
	date := time.Unix(seconds, 0).UTC().Format(time.DateOnly)
	scope := date + "/tiw/tc3_request"
	canonical := fmt.Sprintf("POST\n/\n\ncontent-type:%s\nhost:%s\n\ncontent-type;host\n%s",
		r.Header.Get("Content-Type"), r.Host, digest(body))
	key := mac(mac(mac([]byte("TC3"+keys.SecretKey), date), "tiw"), "tc3_request")
	signed := mac(key, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+digest([]byte(canonical)))
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%x", keys.SecretID, scope, signed)
}

func show(p watcher.Push) string {
	text, _ := json.Marshal(p)
	return string(text)
}

func TestDescribeReadsAnswers(t *testing.T) {
	const id = `"RequestId":"r1"`
	request := new("r1")
	tests := []struct {
		name, body string
		want       watcher.Push
	}{
		{"bare", `{"Response":{` + id + `}}`, watcher.Push{RequestID: request}},
		{"nulls", `{"Response":{` + id + `,"Status":null,"RoomId":null,"Backup":null,"Error":null,"PushStopTime":null}}`,
			watcher.Push{RequestID: request}},
		{"zeros are not null", `{"Response":{` + id + `,"Status":"","RoomId":0}}`,
			watcher.Push{RequestID: request, Status: new(""), RoomID: new(int64(0))}},
		{"unknown Status and field", `{"Response":{` + id + `,"Status":"PAUSED","New":[{}]}}`,
			watcher.Push{RequestID: request, Status: new("PAUSED")}},
		{"mistyped TaskId", `{"Response":{` + id + `,"TaskId":7}}`, watcher.Push{RequestID: request}},
		{"Backup as text", `{"Response":{` + id + `,"Backup":"{\"TaskId\":\"b\"}"}}`,
			watcher.Push{RequestID: request, Backup: new(`{"TaskId":"b"}`)}},
		{"Backup as an object", `{"Response":{` + id + `,"Backup":{"TaskId":"b"}}}`,
			watcher.Push{RequestID: request, Backup: new(`{"TaskId":"b"}`)}},
		{"Backup as a list", `{"Response":{` + id + `,"Backup":[1,2]}}`, watcher.Push{RequestID: request, Backup: new(`[1,2]`)}},
		{"Backup as a number", `{"Response":{` + id + `,"Backup":-1}}`, watcher.Push{RequestID: request, Backup: new(`-1`)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := serve(t, answer(test.body)).Describe(t.Context(), testKey)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("Describe() of %s = %s, %v, want %s", test.body, show(got), err, show(test.want))
			}
		})
	}
}

func TestDescribeKeepsNothingOfTheAnswerBefore(t *testing.T) {
	bodies := []string{pageAnswer, `{"Response":{"RequestId":"r2"}}`}
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := bodies[0]
		bodies = bodies[1:]
		answer(body)(w, r)
	})
	if _, err := client.Describe(t.Context(), testKey); err != nil {
		t.Fatal(err)
	}
	got, err := client.Describe(t.Context(), testKey)
	if want := (watcher.Push{RequestID: new("r2")}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("second Describe() = %s, %v, want %s", show(got), err, show(want))
	}
}

func TestDescribeTellsUnreadableAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"empty":              ``,
		"null":               `null`,
		"empty object":       `{}`,
		"null Response":      `{"Response":null}`,
		"empty Response":     `{"Response":{}}`,
		"list":               `[]`,
		"text":               `"ok"`,
		"HTML":               `<html><body>Log in to the network</body></html>`,
		"cut short":          pageAnswer[:100],
		"followed by more":   pageAnswer + pageAnswer,
		"mistyped Status":    `{"Response":{"RequestId":"r","Status":{}}}`,
		"Status as a number": `{"Response":{"RequestId":"r","Status":3,"RoomId":880528}}`,
		"mistyped RequestId": `{"Response":{"RequestId":7}}`,
		"mistyped Code":      `{"Response":{"RequestId":"r","Error":{"Code":7,"Message":"no"}}}`,
		"list as Response":   `{"Response":[]}`,
		"cut behind Status":  `{"Response":{"RequestId":"r","Status":"STOPPED"`,
		"Error without Code": `{"Response":{"RequestId":"r","Error":{"Message":"no"}}}`,
		"mistyped Error":     `{"Response":{"RequestId":"r","Error":"no"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := describe(t, serve(t, answer(body)))
			want := &watcher.CloudError{Code: "unreadable", Message: got.Message}
			if !reflect.DeepEqual(got, want) || got.Message == "" || len(got.Message) > maxMessage {
				t.Errorf("Describe() of %s = %#v, want %#v with a short message", body, got, want)
			}
		})
	}
}

func TestDescribeTellsTheReasonAndNotTheBody(t *testing.T) {
	body := `{"Response":{"RequestId":"r","Status":["` + strings.Repeat("x", 1000) + `"]}}`
	got := describe(t, serve(t, answer(body))).Message
	if !strings.Contains(got, "Status is of the JSON type array") || strings.Contains(got, "xxxx") {
		t.Errorf("message = %q, want the field's name and not the body", got)
	}
}

func TestDescribeTellsErrorsOfTheAPI(t *testing.T) {
	got := describe(t, serve(t, answer(`{"Response":{"RequestId":"r1","Error":{"Code":"FailedOperation.WhiteboardPush",`+
		`"Message":"code: 40006, msg: the UserSig\nin use is illegal"}}}`)))
	want := &watcher.CloudError{
		Kind: watcher.FailedTask, Code: "FailedOperation.WhiteboardPush",
		Message: "code: 40006, msg: the UserSig in use is illegal", Request: "r1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}

	got = describe(t, serve(t, answer(`{"code":4100,"codeDesc":"AuthFailure","message":"old style"}`)))
	want = &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "AuthFailure", Message: "old style"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() = %#v, want %#v", got, want)
	}

	got = describe(t, serve(t, answer(`{"Response":{"Error":{"Code":"InvalidParameter.TaskNotFound"},"Status":0,"RoomId":""}}`)))
	want = &watcher.CloudError{Kind: watcher.UnknownTask, Code: "InvalidParameter.TaskNotFound"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Describe() of an error among fields of the wrong type = %#v, want %#v", got, want)
	}
}

// rotating gives other keys at each request, and an error when they run out.
type rotating struct{ keys []Keys }

func (r *rotating) Keys(context.Context) (Keys, error) {
	if len(r.keys) == 0 {
		return Keys{}, errors.New("metadata service: no role")
	}
	next := r.keys[0]
	r.keys = r.keys[1:]
	return next, nil
}

func TestCredentialsAreAskedAtEachRequest(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		id, _, _ := strings.Cut(credential, "/")
		got = append(got, id+" "+r.Header.Get("X-TC-Token"))
		answer(pageAnswer)(w, r)
	}))
	defer server.Close()
	client, err := New(Config{Endpoint: server.URL, Credentials: &rotating{[]Keys{
		{"id1", "key1", "token1"}, {"id2", "key2", ""}, {"", "key3", ""},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.Describe(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
	}
	for _, message := range []string{"secret id: is empty", "metadata service: no role"} {
		got := describe(t, client)
		want := &watcher.CloudError{Kind: watcher.DeniedAccount, Code: "credentials", Message: message, Sent: watcher.Unsent}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Describe() without keys = %#v, want %#v", got, want)
		}
	}
	if want := []string{"id1 token1", "id2 "}; !reflect.DeepEqual(got, want) {
		t.Errorf("keys at the server = %q, want %q", got, want)
	}
}

func TestKeysPrintMasked(t *testing.T) {
	config := Config{Credentials: testKeys}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		noSecrets(t, fmt.Sprintf(verb, config))
		noSecrets(t, fmt.Sprintf(verb, testKeys))
		noSecrets(t, fmt.Sprintf(verb, Keys(testKeys)))
	}
}

func TestProxyIsTheEnvironments(t *testing.T) {
	for endpoint, want := range map[string]*url.URL{
		"https://tiw.example":   {Scheme: "http", Host: proxyAddress},
		"https://127.0.0.1:443": nil,
		"http://localhost:80":   nil,
	} {
		got, err := newTestClient(t, endpoint).transport.http.Proxy(nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("proxy for %s = %v, %v, want %v", endpoint, got, err, want)
		}
	}
}

func TestDescribeAgainstTheSimulatedService(t *testing.T) {
	service, err := tiwsim.New(tiwsim.Config{Accounts: []tiwsim.Account{{
		Name: "school", SecretID: testKeys.SecretID, SecretKey: testKeys.SecretKey, Token: testKeys.Token,
		SDKAppIDs: []int64{testKey.SDKAppID},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	client := serve(t, service.ServeHTTP)
	if got := describe(t, client); got.Kind != watcher.UnknownTask {
		t.Errorf("Describe() of an unknown task = %#v, want kind %v", got, watcher.UnknownTask)
	}
	service.Put(testKey.SDKAppID, testKey.TaskID, tiwsim.Answer{Status: new("PUSHING")})
	got, err := client.Describe(t.Context(), testKey)
	if err != nil || got.Status == nil || *got.Status != watcher.StatusPushing {
		t.Errorf("Describe() = %s, %v, want PUSHING", show(got), err)
	}
}

func BenchmarkDescribe(b *testing.B) {
	client := serve(b, answer(pageAnswer))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Describe(b.Context(), testKey); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSDK is what a request costs without us: the SDK over net/http alone.
func BenchmarkSDK(b *testing.B) {
	server := httptest.NewServer(answer(pageAnswer))
	defer server.Close()
	sdk := newTestClient(b, server.URL).sdk
	sdk.WithCredential(common.NewTokenCredential(testKeys.SecretID, testKeys.SecretKey, testKeys.Token))
	sdk.WithHttpTransport(new(http.Transport))
	b.ReportAllocs()
	for b.Loop() {
		if err := sdk.Send(newDescribeRequest(b.Context(), testKey), new(bareResponse)); err != nil {
			b.Fatal(err)
		}
	}
}

// A bareResponse is searched for errors as the SDK does it.
type bareResponse struct{ describeResponse }

func (*bareResponse) ParseErrorFromHTTPResponse(body []byte) error {
	return tchttp.ParseErrorFromHTTPResponse(body)
}
