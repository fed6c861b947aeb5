package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher/engine"
)

// Callbacks accepts TIW's own callbacks as hints. [engine.Watcher] implements it.
type Callbacks interface {
	// Callback returns [engine.ErrCallbackSign] for a wrong signature,
	// [engine.ErrNoApplication] for an unknown application, and [engine.ErrCallbackLimit]
	// if callbacks register too many tasks.
	Callback(ctx context.Context, c engine.Callback) error
}

// callbackPath is followed by an application's SdkAppId.
const callbackPath = "/v1/callbacks/tiw/"

// callbackApp returns the application in a callback's path.
func callbackApp(path string) (int64, error) {
	return strconv.ParseInt(strings.TrimPrefix(path, callbackPath), 10, 64)
}

// callback serves POST /v1/callbacks/tiw/{sdk_app_id}. It answers 200 even if it does not
// understand a callback, because TIW repeats a callback until it gets 200.
func callback(callbacks Callbacks, log *zap.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		app, err := callbackApp(r.URL.Path)
		if err != nil {
			problem(w, http.StatusNotFound, "want the SdkAppId of a configured application in the path")
			return
		}
		text, err := io.ReadAll(r.Body)
		if err != nil || emptyCallback(text) {
			problem(w, http.StatusBadRequest, "want the callback that TIW posts: this one is empty")
			return
		}
		var body api.Callback
		if err := json.Unmarshal(text, &body); err != nil {
			log.Debug("callback not understood", zap.Int64("sdk_app_id", app), zap.Error(err))
		}
		err = callbacks.Callback(r.Context(), engine.Callback{SDKAppID: app, ExpireTime: body.ExpireTime, Sign: body.Sign, TaskID: body.EventData.TaskID})
		switch {
		case err == nil:
			w.WriteHeader(http.StatusOK)
		case errors.Is(err, engine.ErrNoApplication):
			problem(w, http.StatusNotFound, "no account has this application")
		case errors.Is(err, engine.ErrCallbackSign):
			problem(w, http.StatusForbidden, "want a Sign made with this application's callback key, and an ExpireTime within a day from now")
		case errors.Is(err, engine.ErrCallbackLimit):
			w.Header().Set("Retry-After", "60")
			problem(w, http.StatusServiceUnavailable, "callbacks have registered too many tasks of this application within a minute: try again later")
		default:
			log.Error("callback failed", zap.Int64("sdk_app_id", app), zap.Error(err))
			problem(w, http.StatusServiceUnavailable, "try again")
		}
	}
}

// emptyCallback reports whether a callback has no contents.
func emptyCallback(text []byte) bool {
	var short bytes.Buffer
	if json.Compact(&short, text) != nil {
		return len(bytes.TrimSpace(text)) == 0
	}
	return short.String() == "{}" || short.String() == "null"
}
