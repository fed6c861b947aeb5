package tiwsim

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The common parameters of DescribeWhiteboardPush, from its API page.
const (
	action  = "DescribeWhiteboardPush"
	version = "2019-09-19"
	region  = "ap-singapore"
	service = "tiw"
)

const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
	// maxSkew is the largest difference of X-TC-Timestamp from the server's clock in seconds
	// (https://www.tencentcloud.com/document/product/1080/38763).
	maxSkew = 5 * 60
)

// checkCommon checks what does not depend on the account.
func checkCommon(r *http.Request, body []byte) *APIError {
	size := 0
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case size > maxHeader:
		return refuse("RequestSizeLimitExceeded", "headers are larger than %d bytes", maxHeader)
	case len(body) > maxBody:
		return refuse("RequestSizeLimitExceeded", "the body is larger than %d bytes", maxBody)
	case r.Method != http.MethodPost:
		return refuse("UnsupportedProtocol", "method %q, want POST", r.Method)
	case r.URL.Path != "/" || r.URL.RawQuery != "":
		return refuse("InvalidRequest", "want the path / and no query")
	case contentType != "application/json":
		return refuse("UnsupportedProtocol", "Content-Type %q, want application/json", contentType)
	}
	for _, name := range []string{"Authorization", "X-TC-Action", "X-TC-Version", "X-TC-Timestamp", "X-TC-Region"} {
		if r.Header.Get(name) == "" {
			return refuse("MissingParameter", "the header %s is missing", name)
		}
	}
	return nil
}

// authenticate checks the timestamp, token and signature of a request.
func (a *account) authenticate(r *http.Request, body []byte, auth authorization, now time.Time) *APIError {
	stamp := r.Header.Get("X-TC-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refuse("InvalidParameter", "X-TC-Timestamp %q is not a number", stamp)
	}
	if skew := now.Unix() - seconds; skew < -maxSkew || skew > maxSkew { // also after an overflow
		return refuse("AuthFailure.SignatureExpire", "X-TC-Timestamp is more than %d s from the server's clock", maxSkew)
	}
	if a.SecretID == "" {
		return refuse("AuthFailure.SecretIdNotFound", "no account has this secret id")
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-TC-Token")), []byte(a.Token)) != 1 {
		return refuse("AuthFailure.TokenFailure", "X-TC-Token is not the account's")
	}
	if date := time.Unix(seconds, 0).UTC().Format(time.DateOnly); auth.date != date || auth.service != service {
		return refuse("AuthFailure.SignatureFailure", "credential scope %s/%s, want %s/%s", auth.date, auth.service, date, service)
	}
	want := signature(r, body, stamp, auth, a.SecretKey)
	if subtle.ConstantTimeCompare([]byte(auth.signature), []byte(want)) != 1 {
		return refuse("AuthFailure.SignatureFailure", "the signature does not match the request")
	}
	return nil
}

// regionErrors are the possible codes for a wrong region.
var regionErrors = []string{"UnsupportedRegion", "InvalidParameterValue"}

// parse returns the task that an authenticated request asks for.
func (a *account) parse(r *http.Request, body []byte, regionError string) (taskKey, *APIError) {
	if got := r.Header.Get("X-TC-Action"); got != action {
		return taskKey{}, refuse("InvalidAction", "no action %q here", got)
	}
	if got := r.Header.Get("X-TC-Version"); got != version {
		return taskKey{}, refuse("NoSuchVersion", "no version %q here", got)
	}
	if r.Header.Get("X-TC-Region") != region {
		return taskKey{}, refuse(regionError, "A value specified in X-TC-Region is not valid, is unsupported, or cannot be used.")
	}

	// A map, since a struct would ignore case.
	var parameters map[string]json.RawMessage
	if err := json.Unmarshal(body, &parameters); err != nil {
		return taskKey{}, refuse("InvalidParameter", "the body is not a JSON object")
	}
	for name := range parameters {
		if name != "SdkAppId" && name != "TaskId" {
			return taskKey{}, refuse("UnknownParameter", "the parameter %q is not known", name)
		}
	}
	var asked taskKey
	if refusal := parameter(parameters, "SdkAppId", &asked.sdkAppID); refusal != nil {
		return taskKey{}, refusal
	}
	if refusal := parameter(parameters, "TaskId", &asked.taskID); refusal != nil {
		return taskKey{}, refusal
	}
	if !slices.Contains(a.SDKAppIDs, asked.sdkAppID) {
		return taskKey{}, refuse("UnauthorizedOperation.SdkAppId", "SdkAppId %d is not the account's", asked.sdkAppID)
	}
	return asked, nil
}

func parameter[T int64 | string](parameters map[string]json.RawMessage, name string, into *T) *APIError {
	raw, ok := parameters[name]
	if !ok || string(raw) == "null" {
		return refuse("MissingParameter", "the parameter %s is missing", name)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return refuse("InvalidParameter.BodyParameterTypeUnmatched", "the parameter %s is of the wrong type", name)
	}
	return nil
}

// APIError is an error in an answer of the API.
type APIError struct {
	Code    string
	Message string
}

var errTaskNotFound = refuse("InvalidParameter.TaskNotFound", "there is no such push task")

func refuse(code, format string, args ...any) *APIError {
	return &APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func throttled(code string) *APIError {
	return refuse(code, "the account sends more requests in a second than it may")
}
