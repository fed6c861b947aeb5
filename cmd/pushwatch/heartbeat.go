package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pushwatch/watcher/loop"
)

// A heartbeat is a dead man's switch: it calls a URL regularly while the daemon is well,
// so that an outside service raises an alarm when the calls stop.
//
// It covers the daemon itself: a dead process, stuck polling or delivery, a database that
// refuses writes. Refused accounts, an outage at Tencent and failing receivers have events
// and metrics of their own, and do not stop the calls.
type heartbeat struct {
	settings func() heartbeatSettings // returns the effective ones
	well     func(context.Context) error
	log      *zap.Logger

	reload   loop.Signal    // the settings changed
	withheld loop.Condition // the daemon is not well
	failing  loop.Condition // the calls fail
}

func newHeartbeat(settings func() heartbeatSettings, well func(context.Context) error, log *zap.Logger) *heartbeat {
	return &heartbeat{settings: settings, well: well, log: log, reload: loop.NewSignal()}
}

// heartbeatClient follows no redirects, which could pass the URL's secret on, and uses no
// proxy from the environment.
var heartbeatClient = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{TLSHandshakeTimeout: 5 * time.Second, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// run calls at once, then at the configured interval, and at once after reconfigure, until
// ctx ends.
func (h *heartbeat) run(ctx context.Context) error {
	for {
		s := h.settings()
		if !s.URL.IsZero() {
			h.beat(ctx, s)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.reload:
		case <-time.After(s.Every.Std()):
		}
	}
}

// reconfigure makes run call at once with the new settings.
func (h *heartbeat) reconfigure() { h.reload.Notify() }

// beat calls once if the daemon is well. It logs when an outage begins and when it ends.
func (h *heartbeat) beat(ctx context.Context, s heartbeatSettings) {
	err := h.well(ctx)
	if ctx.Err() != nil || h.holds(&h.withheld, err, zap.ErrorLevel, "heartbeat withheld", "heartbeat resumed") {
		return
	}
	if err = call(ctx, s); ctx.Err() == nil {
		h.holds(&h.failing, err, zap.WarnLevel, "heartbeat call failed", "heartbeat call succeeded")
	}
}

// holds reports whether a condition holds: whether there is an error. It logs when the
// condition begins and when it ends.
func (h *heartbeat) holds(c *loop.Condition, err error, level zapcore.Level, begun, ended string) bool {
	if err == nil {
		if lasted, ok := c.End(time.Now()); ok {
			h.log.Info(ended, zap.Duration("after", lasted))
		}
		return false
	}
	if c.Begin(time.Now()) {
		h.log.Log(level, begun, zap.Error(err))
	}
	return true
}

// call requests the URL. Its error does not contain the URL.
func call(ctx context.Context, s heartbeatSettings) error {
	address, err := s.URL.Value()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the address in heartbeat.url is not valid")
	}
	request.Header.Set("User-Agent", "pushwatch-heartbeat/1")
	answer, err := heartbeatClient.Do(request)
	if fault, ok := errors.AsType[*url.Error](err); ok {
		return fault.Err
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, 4<<10)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}
