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
	"golang.org/x/time/rate"

	"pushwatch/watcher"
)

// A Callback is TIW's notice that a push starts or stops. It serves only as a hint to poll.
// https://www.tencentcloud.com/document/product/1176
type Callback struct {
	SDKAppID   int64
	ExpireTime int64  // unix seconds after which Sign is invalid
	Sign       string // hex md5 of the callback key and ExpireTime only
	TaskID     string // TIW may leave it out for a failed push
}

// ErrCallbackSign means that a callback's Sign is missing, wrong, expired, or valid for too long.
var ErrCallbackSign = errors.New("callback is not signed with the application's callback key")

// ErrNoApplication means that no account has the application.
var ErrNoApplication = errors.New("no such application")

// ErrCallbackLimit means that callbacks register too many tasks of the application.
var ErrCallbackLimit = errors.New("too many tasks registered by callbacks")

// maxCallbackTasks limits how many tasks callbacks register in a minute, by application.
// A Sign does not cover the task id, so whoever has seen one can make up tasks.
const maxCallbackTasks = 300

// maxCallbackExpiry limits how far ahead ExpireTime is. TIW's are an hour ahead; a Sign valid
// for years would be a password that nobody can change.
const maxCallbackExpiry = 24 * time.Hour

// mayRegister reports whether a callback may register a task of an application now.
func (w *Watcher) mayRegister(app int64) bool {
	limiter, _ := w.callbackLimits.LoadOrStore(app, rate.NewLimiter(rate.Every(time.Minute/maxCallbackTasks), maxCallbackTasks))
	return limiter.(*rate.Limiter).Allow()
}

// Callback handles a callback of TIW as a hint: it polls a known task next, within the
// limit. It registers an unknown task if the account's settings say so, up to
// [maxCallbackTasks]. Without a callback key anybody can send one, so it causes at most one
// poll of a task a second.
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
	result, err := "known", w.PollNow(ctx, key)
	switch {
	case errors.Is(err, ErrEnded):
		result, err = "ended", nil
	case errors.Is(err, watcher.ErrNoTask) && !account.RegisterCallbacks:
		result, err = "unknown", nil
	case errors.Is(err, watcher.ErrNoTask) && !w.mayRegister(c.SDKAppID):
		result, err = "limited", ErrCallbackLimit
	case errors.Is(err, watcher.ErrNoTask):
		w.log.Info("task registered by callback", zap.Stringer("task", key))
		result = "registered"
		_, err = w.Register(ctx, []watcher.Registration{{Key: key}}, false)
	case err != nil:
		return err
	}
	w.metrics.callbacks.WithLabelValues(account.Name, result).Inc()
	return err
}

// signed checks Sign as TIW makes it, and its ExpireTime.
func (c Callback) signed(key string, now time.Time) bool {
	sum := md5.Sum([]byte(key + strconv.FormatInt(c.ExpireTime, 10)))
	want := hex.EncodeToString(sum[:])
	inTime := now.Unix() <= c.ExpireTime && c.ExpireTime <= now.Add(maxCallbackExpiry).Unix()
	return subtle.ConstantTimeCompare([]byte(want), []byte(c.Sign)) == 1 && inTime
}
