package main

import (
	"encoding/json"
	"strings"
	"testing"

	"pushwatch/cmd/pushwatch/internal/api"
)

// TestStatusTellsOnce has an outage of an account, which its applications are part of,
// beside one of a single application.
func TestStatusTellsOnce(t *testing.T) {
	const answer = `{"instance":"i","version":"v","accounts":[
		{"name":"school","blind":true,"dark":[
			{"sdk_app_id":null,"tasks":3,"error":{"code":"ClientTimeout","message":"no answer"}},
			{"sdk_app_id":1400000001,"tasks":2,"error":{"code":"ClientTimeout","message":"no answer"}}]},
		{"name":"college","blind":true,"dark":[
			{"sdk_app_id":1400000002,"tasks":4,"error":{"code":"UnauthorizedOperation.SdkAppId","message":"not yours"}},
			{"sdk_app_id":1400000003,"tasks":5,"error":null}]}]}`
	var s api.Status
	if err := json.Unmarshal([]byte(answer), &s); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printStatus(&out, s)
	_, notes, _ := strings.Cut(out.String(), "\n! ")
	const want = "school: nothing was seen of 3 tasks, first -: ClientTimeout: no answer\n" +
		"! college, application 1400000002: nothing was seen of 4 tasks, first -: UnauthorizedOperation.SdkAppId: not yours\n" +
		"! college, application 1400000003: nothing was seen of 5 tasks, first -: no answer\n"
	if notes != want {
		t.Errorf("notes =\n%s\nwant\n%s", notes, want)
	}
}
