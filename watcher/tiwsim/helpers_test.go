package tiwsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const testApp = 1400000001

var testAccount = Account{Name: "school", SecretID: "AKIDschool", SecretKey: "key", SDKAppIDs: []int64{testApp}}

// newService is a service for testAccount, with room for many requests unless
// the config says otherwise.
func newService(t testing.TB, config Config) *Service {
	t.Helper()
	if config.Accounts == nil {
		config.Accounts = []Account{testAccount}
	}
	if config.Limit == 0 {
		config.Limit = 10_000
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call is a request about to be signed; change its fields to spoil it.
type call struct {
	method, url, body string
	header            map[string]string // an empty value deletes
	account           Account
	date, service     string
	signedHeaders     []string
	spoil             func(*http.Request) // after signing
}

func ask(taskID string) call {
	return call{body: fmt.Sprintf(`{"SdkAppId":%d,"TaskId":%q}`, testApp, taskID), account: testAccount}
}

func (c call) request(t testing.TB) *http.Request {
	t.Helper()
	orElse := func(value, other string) string {
		if value == "" {
			return other
		}
		return value
	}
	r, err := http.NewRequestWithContext(t.Context(), orElse(c.method, "POST"), orElse(c.url, "http://tiw.example/"), strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", action)
	r.Header.Set("X-TC-Version", version)
	r.Header.Set("X-TC-Region", region)
	r.Header.Set("X-TC-Timestamp", strconv.FormatInt(now, 10))
	for name, value := range c.header {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	auth := authorization{
		secretID:      c.account.SecretID,
		date:          orElse(c.date, time.Unix(now, 0).UTC().Format(time.DateOnly)),
		service:       orElse(c.service, service),
		signedHeaders: c.signedHeaders,
	}
	if auth.signedHeaders == nil {
		auth.signedHeaders = []string{"content-type", "host"}
	}
	signed := signature(r, []byte(c.body), r.Header.Get("X-TC-Timestamp"), auth, c.account.SecretKey)
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s/%s/tc3_request, SignedHeaders=%s, Signature=%s",
		algorithm, auth.secretID, auth.date, auth.service, strings.Join(auth.signedHeaders, ";"), signed))
	if c.spoil != nil {
		c.spoil(r)
	}
	return r
}

// answered is an answer as a client sees it; Error.Code is "" for a good one.
type answered struct {
	Error *struct{ Code, Message string }

	FinishReason, TaskId, Status, GroupId, PushUserId, Backup     *string
	RoomId, PushStartTime, PushStopTime, ExceptionCnt, IMSyncTime *int64

	RequestId string
}

func (a answered) code() string {
	if a.Error == nil {
		return "ok"
	}
	return a.Error.Code
}

// do sends a call through RoundTrip and returns the answer and its body.
func do(t testing.TB, s *Service, c call) (answered, string) {
	t.Helper()
	resp, err := s.RoundTrip(c.request(t))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("status = %d, want 200", resp.StatusCode)
	}
	var envelope struct{ Response answered }
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatalf("body = %s: %v", body, err)
	}
	return envelope.Response, string(body)
}

// show writes a field for messages and comparisons.
func show[T any](p *T) string {
	if p == nil {
		return "none"
	}
	return fmt.Sprint(*p)
}

func seconds(n float64) Duration { return Duration(n * float64(time.Second)) }
