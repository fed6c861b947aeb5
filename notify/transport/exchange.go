package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"pushwatch/notify"
)

// MaxAnswer is how many bytes are read of an answer's body.
const MaxAnswer = 16 << 10

// A Request is an HTTP request with what an error may not show of it.
type Request struct {
	*http.Request
	// Alias stands for the receiver's host in errors; empty: the host is shown.
	Alias string
	// Hidden must not be seen in errors. URL, user and headers of the request are
	// hidden without standing here.
	Hidden []string
	// Shown are words of the URL and of Hidden that are no secret.
	Shown []string
	// BodyTimeout bounds the reading of the answer's body; zero: only the attempt's
	// own timeout does.
	BodyTimeout time.Duration
	// MaxAnswer is how much of the answer's body is read; zero: [MaxAnswer].
	MaxAnswer int64
}

// An Answer is what a receiver said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // its first bytes
	// BodyErr is why the body is not as long as it should be, such as a connection
	// that was cut. It is nil where the body was longer than what is read of it.
	BodyErr error

	hide *strings.Replacer
}

// Do sends a request and reads the answer, whatever its status, within the
// transport's timeout. A body with more to come than is read costs its connection;
// over HTTP/2, that stream of it. The error is a [*notify.SendError].
func (t *Transport) Do(ctx context.Context, r *Request) (*Answer, error) {
	f := failure{parent: ctx, host: r.Alias}
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	if f.host == "" {
		f.host = r.URL.Host
	}

	way, err := t.current()
	if err == nil {
		err = t.judge(r.URL.Hostname())
	}
	if err == nil {
		var proxy *url.URL
		ctx, proxy, err = t.towards(ctx, r.URL)
		f.proxied = proxy != nil
	}
	if err != nil {
		f.err = err
		return nil, f.sorted()
	}
	// The transport itself, without an http.Client around it, follows no
	// redirect, keeps no cookies, and puts no URL into its errors.
	response, err := way.http.RoundTrip(r.Request.WithContext(ctx))
	if err == nil && f.proxied && r.URL.Scheme == "http" && response.StatusCode == http.StatusProxyAuthRequired {
		response.Body.Close()
		err = &proxyRefusal{response.StatusCode} // of a request without a tunnel
	}
	if err != nil {
		f.err, f.connected, f.hide = err, connected.Load(), r.hide()
		return nil, f.sorted()
	}
	if r.BodyTimeout > 0 {
		bounded := time.AfterFunc(r.BodyTimeout, cancel)
		defer bounded.Stop()
	}
	defer response.Body.Close()
	answer := &Answer{Status: response.StatusCode, Header: response.Header, hide: r.hide()}
	if answer.Status >= 200 { // the body of a 101 is the bare connection, which has no deadline
		limit := r.MaxAnswer
		if limit == 0 {
			limit = MaxAnswer
		}
		answer.Body, answer.BodyErr = io.ReadAll(io.LimitReader(response.Body, limit))
	}
	return answer, nil
}

// Failure returns what a status that is no success means: the attempt failed, and
// the receiver may have said how long to wait.
func (a *Answer) Failure() *notify.SendError {
	failed := &notify.SendError{Cause: notify.StatusCause(a.Status), Reason: a.reason()}
	if a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable {
		failed.RetryAfter = RetryAfter(a.Header.Get("Retry-After"), time.Now())
	}
	return failed
}

// StatusLine puts the status into words: "answered 404 Not Found".
func (a *Answer) StatusLine() string {
	return strings.TrimSpace(fmt.Sprintf("answered %d %s", a.Status, http.StatusText(a.Status)))
}

// Excerpt returns the first line of what the receiver said, fit to be shown: short,
// and without a secret of the request.
func (a *Answer) Excerpt(text string) string { return excerpt(text, a.hide) }

// reason puts an answer into words: the status, and the body's first line where
// it is text.
func (a *Answer) reason() string {
	text := a.StatusLine()
	if a.Status >= 300 && a.Status <= 399 {
		return text + ": redirects are not followed"
	}
	if a.Header.Get("Content-Encoding") != "" {
		return text // packed, and not to be unpacked
	}
	if line := a.Excerpt(string(a.Body)); line != "" {
		text += ": " + line
	}
	return text
}

// RetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or
// a date in any of HTTP's three formats. It returns the zero time where that says
// nothing or lies in the past, and at most a day from now.
func RetryAfter(value string, now time.Time) time.Time {
	value = strings.TrimSpace(value)
	latest := now.Add(notify.MaxPause)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil || seconds > uint64(notify.MaxPause/time.Second): // err: beyond 64 bits
			return latest
		case seconds == 0:
			return time.Time{}
		}
		return now.Add(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(value)
	switch {
	case err != nil || !at.After(now):
		return time.Time{}
	case at.After(latest):
		return latest
	}
	return at
}

// A lateError is the cause with which an attempt's time is up.
type lateError time.Duration

func (e lateError) Error() string { return fmt.Sprintf("nothing within %s", time.Duration(e)) }

// Timeout makes it a timeout as those of package net are.
func (lateError) Timeout() bool { return true }
