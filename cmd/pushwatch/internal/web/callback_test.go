package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pushwatch/watcher/engine"
)

// hints records callbacks, and answers with an error.
type hints struct {
	got []engine.Callback
	err error
}

func (h *hints) Callback(_ context.Context, c engine.Callback) error {
	h.got = append(h.got, c)
	return h.err
}

func TestCallback(t *testing.T) {
	h := &hints{}
	api := New(Config{Callbacks: h, Tokens: []Token{NewToken("backend", "write-write-write", Write)}, Metrics: prometheus.NewRegistry()})
	const stopped = `{"Timestamp":1588036509,"SdkAppId":1400000001,"ExpireTime":1588040109,"Sign":"a2dabb362a9b811c0e26953a6276a41c","EventType":"WhiteboardPushStopped","EventData":{"TaskId":"class","RoomId":1,"FinishReason":"AUTO"}}`
	for _, c := range []struct {
		path, body string
		err        error
		status     int
		want       engine.Callback
	}{
		{"1400000001", stopped, nil, 200, engine.Callback{SDKAppID: 1400000001, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}},
		{"1400000002", stopped, nil, 200, engine.Callback{SDKAppID: 1400000002, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}}, // the path decides
		{"1400000001", `{"EventData":{"Error":{"Code":"x"}}}`, nil, 200, engine.Callback{SDKAppID: 1400000001}},
		{"1400000001", `no JSON`, nil, 200, engine.Callback{SDKAppID: 1400000001}},
		{"1400000001", stopped, engine.ErrCallbackSign, 403, engine.Callback{SDKAppID: 1400000001, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}},
		{"7", stopped, engine.ErrNoApplication, 404, engine.Callback{SDKAppID: 7, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}},
		{"1400000001", stopped, engine.ErrCallbackLimit, 503, engine.Callback{SDKAppID: 1400000001, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}},
		{"1400000001", stopped, errors.New("database away"), 503, engine.Callback{SDKAppID: 1400000001, ExpireTime: 1588040109, Sign: "a2dabb362a9b811c0e26953a6276a41c", TaskID: "class"}},
	} {
		h.got, h.err = nil, c.err
		w := ask(api, "POST", callbackPath+c.path, c.body)
		if w.Code != c.status || len(h.got) != 1 || h.got[0] != c.want {
			t.Errorf("callback to %s of %.40s = %d %v, want %d %v", c.path, c.body, w.Code, h.got, c.status, c.want)
		}
	}
	h.got = nil
	for path, want := range map[string]int{"x": http.StatusNotFound, "1400000001": http.StatusRequestEntityTooLarge} {
		if w := ask(api, "POST", callbackPath+path, `"`+strings.Repeat("a", maxCallback)+`"`); w.Code != want || len(h.got) > 0 {
			t.Errorf("callback to %s that is too large = %d, want %d", path, w.Code, want)
		}
	}
}

func TestEmptyCallback(t *testing.T) {
	h := &hints{}
	api := New(Config{Callbacks: h, Metrics: prometheus.NewRegistry()})
	for _, body := range []string{"", " \n", "{}", " { }", "null"} {
		h.got = nil
		if w := ask(api, "POST", callbackPath+"1400000001", body); w.Code != http.StatusBadRequest || len(h.got) > 0 {
			t.Errorf("callback with the body %q = %d %v, want 400", body, w.Code, h.got)
		}
	}
}
