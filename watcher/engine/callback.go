package engine

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

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

// ErrCallbackSign means that a callback's Sign is missing, wrong or expired, or valid for
// longer than a day.
var ErrCallbackSign = errors.New("callback is not signed with the application's callback key")

// ErrNoApplication means that no account has the application.
var ErrNoApplication = errors.New("no such application")

// ErrCallbackLimit means that callbacks have registered as many tasks of the application
// lately as they may.
var ErrCallbackLimit = errors.New("too many tasks registered by callbacks")

// maxCallbackTasks is how many tasks callbacks can register in a minute, for each
// application. A Sign does not cover the task's id, so whoever has seen one can make up
// any number of tasks.
const maxCallbackTasks = 300

// maxCallbackExpiry is how far ahead the ExpireTime of a Sign can lie. TIW's lie an hour
// ahead; a Sign that stays valid for years is a password that cannot be changed.
const maxCallbackExpiry = 24 * time.Hour

// callbackLimits limit how many tasks callbacks register.
type callbackLimits struct {
	mu    sync.Mutex
	byApp map[int64]*rate.Limiter
}

// allow reports whether a callback may register a task of an application now.
func (l *callbackLimits) allow(app int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.byApp[app]
	if !ok {
		if l.byApp == nil {
			l.byApp = make(map[int64]*rate.Limiter)
		}
		limiter = rate.NewLimiter(rate.Every(time.Minute/maxCallbackTasks), maxCallbackTasks)
		l.byApp[app] = limiter
	}
	return limiter.Allow()
}

// Callback takes TIW's own callback as a hint: a known task is polled next, within
// the limit, and nothing of it is believed. An unknown task is registered where
// the account's settings say so, up to [maxCallbackTasks]. Without a callback key everybody can send one,
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
	case errors.Is(err, watcher.ErrNoTask) && account.RegisterCallbacks && !w.callbackLimits.allow(c.SDKAppID):
		w.metrics.callbacks.WithLabelValues(account.Name, "limited").Inc()
		return ErrCallbackLimit
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

// signed checks Sign as TIW makes it, and its ExpireTime.
func (c Callback) signed(key string, now time.Time) bool {
	sum := md5.Sum([]byte(key + strconv.FormatInt(c.ExpireTime, 10)))
	want := hex.EncodeToString(sum[:])
	inTime := now.Unix() <= c.ExpireTime && c.ExpireTime <= now.Add(maxCallbackExpiry).Unix()
	return subtle.ConstantTimeCompare([]byte(want), []byte(c.Sign)) == 1 && inTime
}
