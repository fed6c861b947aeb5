package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"testing"
)

// TestOpenAPI shows every change of the API's description.
func TestOpenAPI(t *testing.T) {
	var doc bytes.Buffer
	if err := json.Indent(&doc, ask(serve(t), "GET", "/openapi.json", "").Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "openapi.json", doc.Bytes())
}

// TestDescribedAnswers compares the answers of the routes that are described by hand with
// their description.
func TestDescribedAnswers(t *testing.T) {
	h := serve(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal(ask(h, "GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	const callback = `{"Timestamp":1588036509,"SdkAppId":1400000001,"EventType":"WhiteboardPushStopped","EventData":{"TaskId":"class","RoomId":1}}`
	for _, c := range []struct {
		path, method, request, body string
		status                      int
	}{
		{"/healthz", "GET", "/healthz", "", 200},
		{"/readyz", "GET", "/readyz", "", 200},
		{"/metrics", "GET", "/metrics", "", 200},
		{"/v1/callbacks/tiw/{sdk_app_id}", "POST", "/v1/callbacks/tiw/1400000001", callback, 200},
		{"/v1/callbacks/tiw/{sdk_app_id}", "POST", "/v1/callbacks/tiw/7", callback, 404},
	} {
		w := ask(h, c.method, c.request, c.body)
		described, ok := doc.Paths[c.path][map[string]string{"GET": "get", "POST": "post"}[c.method]].Responses[fmt.Sprint(w.Code)]
		if !ok || w.Code != c.status {
			t.Errorf("%s %s = %d, want %d, described", c.method, c.request, w.Code, c.status)
			continue
		}
		kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if _, ok := described.Content[kind]; ok != (w.Body.Len() > 0) {
			t.Errorf("%s %s is answered with %q, want one of %v", c.method, c.request, kind, described.Content)
		}
	}
}
