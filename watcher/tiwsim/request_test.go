package tiwsim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

// The official client is the oracle for the signature.
func TestOfficialClient(t *testing.T) {
	withToken := Account{Name: "temporary", SecretID: "AKIDtemporary", SecretKey: "other key", Token: "tok/en=", SDKAppIDs: []int64{7}}
	s := newService(t, Config{Accounts: []Account{testAccount, withToken}})
	s.Put(testApp, "a", Answer{Status: new("PUSHING")})
	s.Put(7, "b", Answer{Status: new("STOPPED")})
	server := httptest.NewServer(s)
	defer server.Close()

	for _, test := range []struct {
		account Account
		key     string
		app     int64
		task    string
		want    string
	}{
		{testAccount, "key", testApp, "a", `"Status":"PUSHING"`},
		{withToken, "other key", 7, "b", `"Status":"STOPPED"`},
		{testAccount, "wrong key", testApp, "a", "AuthFailure.SignatureFailure"},
	} {
		prof := profile.NewClientProfile()
		prof.HttpProfile.Endpoint = strings.TrimPrefix(server.URL, "http://")
		prof.HttpProfile.Scheme = "HTTP"
		prof.DisableRegionBreaker = true
		client := common.NewCommonClient(common.NewTokenCredential(test.account.SecretID, test.key, test.account.Token), region, prof)
		request := tchttp.NewCommonRequest(service, version, action)
		if err := request.SetActionParameters(map[string]any{"SdkAppId": test.app, "TaskId": test.task}); err != nil {
			t.Fatal(err)
		}
		response := tchttp.NewCommonResponse()
		got := ""
		if err := client.Send(request, response); err != nil {
			got = err.Error()
		} else {
			got = string(response.GetBody())
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("client of %s with %q asks for %s = %s, want %s", test.account.Name, test.key, test.task, got, test.want)
		}
	}
}

func TestChecks(t *testing.T) {
	temporary := Account{Name: "temporary", SecretID: "AKIDtemporary", SecretKey: "k", Token: "token", SDKAppIDs: []int64{7}}
	s := newService(t, Config{Accounts: []Account{testAccount, temporary}})
	s.Put(testApp, "a", Answer{Status: new("PUSHING")})
	s.Put(7, "a", Answer{Status: new("PUSHING")})
	with := func(change func(*call)) call {
		c := ask("a")
		change(&c)
		return c
	}
	header := func(name, value string) call {
		return with(func(c *call) { c.header = map[string]string{name: value} })
	}
	body := func(text string) call { return with(func(c *call) { c.body = text }) }
	authorization := func(old, new string) call {
		return with(func(c *call) {
			c.spoil = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
			}
		})
	}
	at := func(d time.Duration) call {
		stamp := time.Now().Add(d)
		c := header("X-TC-Timestamp", strconv.FormatInt(stamp.Unix(), 10))
		c.date = stamp.UTC().Format(time.DateOnly)
		return c
	}

	for _, test := range []struct {
		name string
		call call
		want string
	}{
		{"good", ask("a"), "ok"},
		{"charset", header("Content-Type", "application/json; charset=utf-8"), "ok"},
		{"more signed headers", with(func(c *call) { c.signedHeaders = []string{"content-type", "host", "x-tc-action"} }), "ok"},
		{"token", with(func(c *call) {
			c.account, c.body, c.header = temporary, `{"SdkAppId":7,"TaskId":"a"}`, map[string]string{"X-TC-Token": "token"}
		}), "ok"},
		{"four minutes slow", at(-4 * time.Minute), "ok"},
		{"four minutes fast", at(4 * time.Minute), "ok"},

		{"get", with(func(c *call) { c.method = "GET" }), "UnsupportedProtocol"},
		{"form", header("Content-Type", "application/x-www-form-urlencoded"), "UnsupportedProtocol"},
		{"path", with(func(c *call) { c.url = "http://tiw.example/v2" }), "InvalidRequest"},
		{"query", with(func(c *call) { c.url = "http://tiw.example/?Action=" + action }), "InvalidRequest"},
		{"large body", body(strings.Repeat(" ", maxBody+1)), "RequestSizeLimitExceeded"},
		{"large header", header("X-Extra", strings.Repeat("x", maxHeader)), "RequestSizeLimitExceeded"},

		{"no action", header("X-TC-Action", ""), "MissingParameter"},
		{"no version", header("X-TC-Version", ""), "MissingParameter"},
		{"no region", header("X-TC-Region", ""), "MissingParameter"},
		{"no timestamp", header("X-TC-Timestamp", ""), "MissingParameter"},
		{"no authorization", with(func(c *call) { c.spoil = func(r *http.Request) { r.Header.Del("Authorization") } }), "MissingParameter"},
		{"other action", header("X-TC-Action", "StartWhiteboardPush"), "InvalidAction"},
		{"other version", header("X-TC-Version", "2017-03-12"), "NoSuchVersion"},
		{"other region", header("X-TC-Region", "ap-guangzhou"), "UnsupportedRegion"},
		{"timestamp not a number", header("X-TC-Timestamp", "now"), "InvalidParameter"},
		{"six minutes slow", at(-6 * time.Minute), "AuthFailure.SignatureExpire"},
		{"six minutes fast", at(6 * time.Minute), "AuthFailure.SignatureExpire"},
		{"timestamp out of range", header("X-TC-Timestamp", "-9223372036854775808"), "AuthFailure.SignatureExpire"},

		{"other algorithm", authorization(algorithm, "HmacSHA1"), "AuthFailure.InvalidAuthorization"},
		{"scope not ended", authorization("/tc3_request", ""), "AuthFailure.InvalidAuthorization"},
		{"no signed headers", authorization("SignedHeaders=content-type;host, ", ""), "AuthFailure.InvalidAuthorization"},
		{"parts renamed", authorization("Signature=", "Sig="), "AuthFailure.InvalidAuthorization"},
		{"host not signed", with(func(c *call) { c.signedHeaders = []string{"content-type"} }), "AuthFailure.InvalidAuthorization"},
		{"content type not signed", with(func(c *call) { c.signedHeaders = []string{"host"} }), "AuthFailure.InvalidAuthorization"},
		{"signed headers not sorted", with(func(c *call) { c.signedHeaders = []string{"host", "content-type"} }), "AuthFailure.InvalidAuthorization"},
		{"unknown secret id", with(func(c *call) { c.account.SecretID = "AKIDother" }), "AuthFailure.SecretIdNotFound"},
		{"empty secret id", with(func(c *call) { c.account.SecretID, c.account.SecretKey = "", "" }), "AuthFailure.SecretIdNotFound"},
		{"wrong key", with(func(c *call) { c.account.SecretKey = "wrong" }), "AuthFailure.SignatureFailure"},
		{"other date", with(func(c *call) { c.date = "2020-01-01" }), "AuthFailure.SignatureFailure"},
		{"other service", with(func(c *call) { c.service = "cvm" }), "AuthFailure.SignatureFailure"},
		{"body changed", with(func(c *call) {
			c.spoil = func(r *http.Request) { r.Body = http.NoBody }
		}), "AuthFailure.SignatureFailure"},
		{"host changed", with(func(c *call) { c.spoil = func(r *http.Request) { r.Host = "other.example" } }), "AuthFailure.SignatureFailure"},
		{"signed header changed", with(func(c *call) {
			c.signedHeaders = []string{"content-type", "host", "x-tc-action"}
			c.spoil = func(r *http.Request) { r.Header.Set("X-TC-Action", "Other") }
		}), "AuthFailure.SignatureFailure"},
		{"token missing", with(func(c *call) { c.account = temporary }), "AuthFailure.TokenFailure"},
		{"token not expected", header("X-TC-Token", "token"), "AuthFailure.TokenFailure"},

		{"not JSON", body("SdkAppId=7"), "InvalidParameter"},
		{"not an object", body("[1]"), "InvalidParameter"},
		{"two objects", body("{}{}"), "InvalidParameter"},
		{"null", body("null"), "MissingParameter"},
		{"no SdkAppId", body(`{"TaskId":"a"}`), "MissingParameter"},
		{"null SdkAppId", body(`{"SdkAppId":null,"TaskId":"a"}`), "MissingParameter"},
		{"no TaskId", body(`{"SdkAppId":1400000001}`), "MissingParameter"},
		{"unknown name", body(`{"SdkAppId":1400000001,"TaskId":"a","Verbose":true}`), "UnknownParameter"},
		{"other case", body(`{"sdkAppId":1400000001,"TaskId":"a"}`), "UnknownParameter"},
		{"SdkAppId as text", body(`{"SdkAppId":"1400000001","TaskId":"a"}`), "InvalidParameter.BodyParameterTypeUnmatched"},
		{"SdkAppId not whole", body(`{"SdkAppId":1.5,"TaskId":"a"}`), "InvalidParameter.BodyParameterTypeUnmatched"},
		{"TaskId as number", body(`{"SdkAppId":1400000001,"TaskId":1}`), "InvalidParameter.BodyParameterTypeUnmatched"},
		{"other account's application", body(`{"SdkAppId":7,"TaskId":"a"}`), "UnauthorizedOperation.SdkAppId"},
		{"unknown task", ask("b"), "InvalidParameter.TaskNotFound"},
	} {
		if got, answer := do(t, s, test.call); got.code() != test.want {
			t.Errorf("%s: answer = %s, want code %s", test.name, answer, test.want)
		}
	}
}

func TestAWrongRegionIsAnsweredByChoice(t *testing.T) {
	for _, code := range []string{"UnsupportedRegion", "InvalidParameterValue"} {
		s := newService(t, Config{RegionError: code})
		c := ask("a")
		c.header = map[string]string{"X-TC-Region": "ap-guangzhou"}
		if got, body := do(t, s, c); got.code() != code || !strings.Contains(got.Error.Message, "X-TC-Region") {
			t.Errorf("answer = %s, want %s that names the header", body, code)
		}
	}
}

func TestRequestIDsAreFreshUUIDs(t *testing.T) {
	s := newService(t, Config{})
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 100 {
		got, _ := do(t, s, ask("a"))
		if !uuid.MatchString(got.RequestId) || seen[got.RequestId] {
			t.Fatalf("RequestId = %q, want a fresh UUID", got.RequestId)
		}
		seen[got.RequestId] = true
	}
}

// Whatever comes, signed or not, is answered with one JSON object of the API.
func FuzzServeHTTP(f *testing.F) {
	f.Add("POST", "", "", action, "1700000000", `{"SdkAppId":1400000001,"TaskId":"a"}`, true)
	f.Add("POST", "", "", action, "", `{"SdkAppId":"1400000001"}`, true)
	f.Add("GET", "TC3-HMAC-SHA256 Credential=AKIDschool/2026-01-01/tiw/tc3_request, SignedHeaders=content-type;host, Signature=00", "x", "", "-1", "null", false)
	f.Add("POST", "TC3-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature=", "application/json;", "\x00", "9223372036854775807", "{", false)
	s := newService(f, Config{Limit: 1 << 30})
	s.Put(testApp, "a", Answer{Status: new("PUSHING")})
	f.Fuzz(func(t *testing.T, method, auth, contentType, actionName, stamp, body string, signed bool) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		if signed {
			r = call{body: body, account: testAccount, header: map[string]string{"X-TC-Action": actionName}}.request(t)
		} else {
			r.Method = method
			r.Header.Set("Authorization", auth)
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("X-TC-Action", actionName)
			r.Header.Set("X-TC-Version", version)
			r.Header.Set("X-TC-Region", region)
			r.Header.Set("X-TC-Timestamp", stamp)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var envelope struct {
			Response *struct {
				Error     *struct{ Code, Message string }
				Status    string
				RequestId string
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &envelope); err != nil || envelope.Response == nil || envelope.Response.RequestId == "" {
			t.Fatalf("answer = %d %q, want a Response with a RequestId (%v)", w.Code, w.Body, err)
		}
		answer := envelope.Response
		if (answer.Error == nil) != (answer.Status == "PUSHING") || answer.Error != nil && answer.Error.Code == "" {
			t.Fatalf("answer = %q, want either an Error with a Code or the task", w.Body)
		}
	})
}
