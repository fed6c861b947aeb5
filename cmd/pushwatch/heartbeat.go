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
)

// A heartbeat calls an address now and then for as long as all is well, so that
// somebody else notices when the calls cease.
//
// It watches the watcher, not what that one watches: an account that is refused,
// Tencent's outage and a receiver that fails are told by events, and by metrics.
// But nobody tells of a process that is gone, or whose polling or delivering is
// stuck, or whose database takes nothing.
type heartbeat struct {
	settings func() heartbeatSettings // as they are in force
	well     func(context.Context) error
	log      *zap.Logger

	changed chan struct{} // the settings have; holds at most one
	sick    bool          // the last turn found that all is not well, and said so
	unheard bool          // the last call failed, and that was said
}

func newHeartbeat(settings func() heartbeatSettings, well func(context.Context) error, log *zap.Logger) *heartbeat {
	return &heartbeat{settings: settings, well: well, log: log, changed: make(chan struct{}, 1)}
}

// heartbeatClient follows no redirect, which would carry the address's secret
// elsewhere, and takes no proxy from the environment.
var heartbeatClient = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{TLSHandshakeTimeout: 5 * time.Second, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// run calls until ctx ends: at once, then every so often, and at once when other
// settings are in force.
func (h *heartbeat) run(ctx context.Context) error {
	for {
		s := h.settings()
		if !s.URL.IsZero() {
			h.beat(ctx, s)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.changed:
		case <-time.After(s.Every.Std()):
		}
	}
}

// reconfigure has the next call made with the settings that are now in force.
func (h *heartbeat) reconfigure() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// beat calls once if all is well. What is wrong is logged once, and when it is over.
func (h *heartbeat) beat(ctx context.Context, s heartbeatSettings) {
	err := h.well(ctx)
	if ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && !h.sick:
		h.log.Error("heartbeat withheld: all is not well", zap.Error(err))
	case err == nil && h.sick:
		h.log.Info("heartbeat goes on: all is well again")
	}
	if h.sick = err != nil; h.sick {
		return
	}
	err = call(ctx, s)
	if ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && !h.unheard:
		h.log.Warn("heartbeat is not heard", zap.Error(err))
	case err == nil && h.unheard:
		h.log.Info("heartbeat is heard again")
	}
	h.unheard = err != nil
}

// call asks for the address. Its error does not name it.
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
