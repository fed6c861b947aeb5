package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

// Only TaskNotFound tells that all is in order. Every other answer is printed with its
// code, its message and what to do.
func TestCheckOnlineExpectsTaskNotFound(t *testing.T) {
	const unsupported = "A value specified in X-TC-Region is not valid, is unsupported, or cannot be used."
	for _, test := range []struct {
		answer string // the JSON of Response; empty: the simulated service answers
		want   []string
	}{
		{"", nil},
		{`{"RequestId":"r","Error":{"Code":"InvalidParameterValue","Message":"` + unsupported + `"}}`,
			[]string{"InvalidParameterValue: " + unsupported + ": check region"}},
		{`{"RequestId":"r","Error":{"Code":"UnsupportedRegion","Message":"m"}}`, []string{"UnsupportedRegion: m: check region"}},
		{`{"RequestId":"r","Error":{"Code":"InvalidParameter.BodyParameterTypeUnmatched","Message":"m"}}`,
			[]string{"InvalidParameter.BodyParameterTypeUnmatched: m: TIW does not accept a part of the request"}},
		{`{"RequestId":"r","Error":{"Code":"MissingParameter","Message":"m"}}`, []string{"MissingParameter: m: check endpoint"}},
		{`{"RequestId":"r","Error":{"Code":"InternalError","Message":"m"}}`, []string{"InternalError: m: ", "try again later"}},
		{`{"RequestId":"r","Error":{"Code":"FailedOperation.WhiteboardPush","Message":"m"}}`, []string{"FailedOperation.WhiteboardPush: m: "}},
		{`{"RequestId":"r","Status":"PUSHING"}`, []string{"as if it did", "check endpoint"}},
		{`{"RequestId":"r"}`, []string{"as if it did", "check endpoint"}},
		{`[]`, []string{"unreadable: ", "check endpoint"}},
	} {
		account := accountSettings{Name: "school", SecretID: setting.Plain("AKIDschool"), SecretKey: setting.Plain("key")}
		service, err := tiwsim.New(tiwsim.Config{Accounts: []tiwsim.Account{{Name: "school", SecretID: "AKIDschool", SecretKey: "key", SDKAppIDs: []int64{1}}}})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if test.answer == "" {
				service.ServeHTTP(w, r)
				return
			}
			io.WriteString(w, `{"Response":`+test.answer+`}`)
		}))
		defer server.Close()
		account.Endpoint = server.URL
		err = account.try(t.Context(), 1, 5*time.Second)
		if (err != nil) != (test.want != nil) {
			t.Errorf("with the answer %s: %v, want %q", test.answer, err, test.want)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("with the answer %s: %v, want %q in it", test.answer, err, want)
			}
		}
	}
}
