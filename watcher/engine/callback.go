package engine

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
)

// A Callback is what TIW posts to an application's callback address when a push
// starts or stops. Only what serves as a hint is read of it.
// https://www.tencentcloud.com/document/product/1176
type Callback struct {
	SDKAppID   int64
	ExpireTime int64  // unix seconds after which Sign is void
	Sign       string // hex md5 of the callback key and ExpireTime; it does not cover the rest
	TaskID     string // empty where TIW leaves it out, as it may for a failed push
}

// ErrCallbackSign means that a callback's Sign is missing, wrong or expired.
var ErrCallbackSign = errors.New("callback is not signed with the application's callback key")

// ErrNoApplication means that no account has the application.
var ErrNoApplication = errors.New("no such application")

// Callback takes TIW's own callback as a hint: a known task is polled next, within
// the limit, and nothing of it is believed. An unknown task is registered where
// the account's settings say so. Without a callback key everybody can send one,
// which is why it can cause no more than one poll of a task a second.
func (w *Watcher) Callback(ctx context.Context, c Callback) error {
	account, ok := w.plan().byApp[c.SDKAppID]
	if !ok {
		return ErrNoApplication
	}
	if account.CallbackKey != nil {
		key, err := account.CallbackKey()
		if err != nil {
			return fmt.Errorf("callback key of account %s: %w", account.Name, err)
		}
		if !c.signed(key, time.Now()) {
			w.metrics.callbacks.WithLabelValues(account.Name, "refused").Inc()
			return ErrCallbackSign
		}
	}
	if !watcher.ValidTaskID(c.TaskID) {
		w.metrics.callbacks.WithLabelValues(account.Name, "no_task").Inc()
		return nil
	}
	key := watcher.Key{SDKAppID: c.SDKAppID, TaskID: c.TaskID}
	switch err := w.PollNow(ctx, key); {
	case errors.Is(err, watcher.ErrNoTask) && account.RegisterCallbacks:
		w.metrics.callbacks.WithLabelValues(account.Name, "registered").Inc()
		w.log.Info("task registered by callback", zap.Stringer("task", key))
		_, err := w.Register(ctx, []watcher.Registration{{Key: key}}, false)
		return err
	case errors.Is(err, watcher.ErrNoTask):
		w.metrics.callbacks.WithLabelValues(account.Name, "unknown").Inc()
	case errors.Is(err, ErrEnded):
		w.metrics.callbacks.WithLabelValues(account.Name, "ended").Inc()
	case err != nil:
		return err
	default:
		w.metrics.callbacks.WithLabelValues(account.Name, "known").Inc()
	}
	return nil
}

// signed checks Sign as TIW makes it.
func (c Callback) signed(key string, now time.Time) bool {
	sum := md5.Sum([]byte(key + strconv.FormatInt(c.ExpireTime, 10)))
	want := hex.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(want), []byte(c.Sign)) == 1 && now.Unix() <= c.ExpireTime
}
