package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher/engine"
)

// Callbacks takes TIW's own callbacks as hints; [engine.Watcher] does.
type Callbacks interface {
	// Callback returns [engine.ErrCallbackSign] for a wrong signature and
	// [engine.ErrNoApplication] for an unknown application.
	Callback(ctx context.Context, c engine.Callback) error
}

// callbackPath is followed by an application's SdkAppId.
const callbackPath = "/v1/callbacks/tiw/"

// maxCallback bounds a callback's body, in bytes.
const maxCallback = 64 << 10

// callback serves POST /v1/callbacks/tiw/{sdk_app_id}. TIW takes any 200 for an
// answer and tries again after anything else, so what is only not understood is
// answered 200 too.
func callback(callbacks Callbacks, log *zap.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		app, err := strconv.ParseInt(r.PathValue("sdk_app_id"), 10, 64)
		if err != nil {
			problem(w, http.StatusNotFound, "want the SdkAppId of a configured application in the path")
			return
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "a callback of TIW is smaller")
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
			problem(w, http.StatusForbidden, "want a Sign made with this application's callback key, and an ExpireTime to come")
		default:
			log.Error("take callback", zap.Int64("sdk_app_id", app), zap.Error(err))
			problem(w, http.StatusServiceUnavailable, "try again")
		}
	}
}
