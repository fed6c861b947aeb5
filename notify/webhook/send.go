package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/signing"
)

// userAgent never changes within version 1 of what is sent: receivers let it
// through their firewalls by name.
const userAgent = "pushwatch-webhook/1"

// Send implements [notify.Sender].
//
// The answer's header decides. The body, at most 16 KiB of it, is then read for
// another second at most: for the reason of a failure, and so that the connection
// can be used again. A connection with more to come is closed.
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	parent := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.Timeout, lateError(s.config.Timeout))
	defer cancel()
	if !signing.ValidID(d.EventID) {
		return 0, &notify.SendError{Reason: fmt.Sprintf("event id %q cannot be signed", d.EventID), Final: true, Result: "other"}
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	request, err := s.request(ctx, d)
	if err != nil {
		return 0, failure{parent: parent, err: err}.sorted()
	}
	hide := hideParts(request, s.config.Headers)
	proxied := !s.config.ProxyURL.IsZero()

	// The transport itself, without an http.Client around it, follows no
	// redirect, keeps no cookies, and puts no URL into its errors.
	response, err := s.transport.RoundTrip(request)
	if err == nil && proxied && response.StatusCode == http.StatusProxyAuthRequired {
		response.Body.Close()
		err = &proxyRefusal{response.StatusCode} // of a request that is not tunnelled
	}
	if err != nil {
		f := failure{parent: parent, err: err, host: request.URL.Host, proxied: proxied, connected: connected.Load(), hide: hide}
		return 0, f.sorted()
	}
	bounded := time.AfterFunc(bodyTimeout, cancel)
	defer bounded.Stop()
	return response.StatusCode, s.outcome(response, hide)
}

// request returns the next attempt of d, signed now.
func (s *Sender) request(ctx context.Context, d *notify.Delivery) (*http.Request, error) {
	target, err := s.target()
	if err != nil {
		return nil, err
	}
	if err := s.judge(target); err != nil {
		return nil, err
	}
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, origin(target), bytes.NewReader(d.Body))
	if err != nil {
		return nil, errors.New("make request: unusable URL")
	}
	request.URL = target
	now := time.Now()
	request.Header = s.header.Clone()
	for name, value := range map[string]string{
		signing.HeaderID:        d.EventID,
		signing.HeaderTimestamp: strconv.FormatInt(now.Unix(), 10),
		signing.HeaderSignature: signing.Sign(keys, d.EventID, now, d.Body),
		signing.HeaderAttempt:   strconv.Itoa(d.Attempts + 1),
	} {
		request.Header[name] = []string{value} // in lower case, as it is promised
	}
	if password, ok := target.User.Password(); target.User != nil && request.Header.Get("Authorization") == "" {
		_ = ok // a user without a password has the empty one
		request.SetBasicAuth(target.User.Username(), password)
	}
	// Without a value it is not sent, and tells the transport that the request
	// may be repeated where a kept connection proves to be closed.
	request.Header["Idempotency-Key"] = nil
	return request, nil
}

// A lateError is the cause with which an attempt's time is up.
type lateError time.Duration

func (e lateError) Error() string { return fmt.Sprintf("nothing within %s", time.Duration(e)) }

// Timeout makes it a timeout as those of package net are.
func (lateError) Timeout() bool { return true }

// checkConnect looks at a proxy's answer to CONNECT.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return &proxyRefusal{response.StatusCode}
	}
	return nil
}
