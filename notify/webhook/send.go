package webhook

import (
	"bytes"
	"context"
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
// can be used again. A connection with more to come is closed;
// over HTTP/2, that stream of it.
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	f := failure{parent: ctx, proxied: !s.config.ProxyURL.IsZero()}
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.Timeout, lateError(s.config.Timeout))
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})

	if !signing.ValidID(d.EventID) {
		return 0, &notify.SendError{Reason: fmt.Sprintf("event id %q cannot be signed", d.EventID), Final: true}
	}
	request, err := s.request(ctx, d)
	if err != nil {
		f.err = err
		return 0, f.sorted()
	}
	way, err := s.reachable()
	if err != nil {
		f.err = err
		return 0, f.sorted()
	}
	// The transport itself, without an http.Client around it, follows no
	// redirect, keeps no cookies, and puts no URL into its errors.
	response, err := way.transport.RoundTrip(request)
	if err == nil && f.proxied && request.URL.Scheme == "http" && response.StatusCode == http.StatusProxyAuthRequired {
		response.Body.Close()
		err = &proxyRefusal{response.StatusCode} // of a request without a tunnel
	}
	if err != nil {
		f.err, f.host, f.connected, f.hide = err, request.URL.Host, connected.Load(), hide(request)
		return 0, f.sorted()
	}
	bounded := time.AfterFunc(bodyTimeout, cancel)
	defer bounded.Stop()
	return response.StatusCode, s.outcome(response)
}

// request returns the next attempt of d, signed now.
func (s *Sender) request(ctx context.Context, d *notify.Delivery) (*http.Request, error) {
	target, keys, err := s.prepare()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(d.Body))
	if err != nil {
		return nil, err
	}
	request.URL, request.Host = target, target.Host

	now := time.Now()
	header := s.header.Clone()
	for name, secret := range s.config.Headers {
		value, err := readHeader(name, secret)
		if err != nil {
			return nil, settingsError{fmt.Errorf("headers: %w", err)}
		}
		header.Set(name, value)
	}
	// Written to the map as they are, and so sent in lower case over HTTP/1 too.
	header[signing.HeaderID] = []string{d.EventID}
	header[signing.HeaderTimestamp] = []string{strconv.FormatInt(now.Unix(), 10)}
	header[signing.HeaderSignature] = []string{signing.Sign(keys, d.EventID, now, d.Body)}
	header[signing.HeaderAttempt] = []string{strconv.Itoa(d.Attempts + 1)}
	// Without a value it is not sent. It tells the transport that a request may
	// be repeated where a connection kept from before proves to be closed.
	header["Idempotency-Key"] = nil
	request.Header = header
	if user := target.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
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
