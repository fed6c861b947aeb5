package transport

import (
	"bytes"
	"cmp"
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

// MaxAnswer is how many bytes of an answer's body are read.
const MaxAnswer = 16 << 10

// A Request is an HTTP request, with what its errors must not show.
type Request struct {
	*http.Request
	// Alias replaces the receiver's host in errors; empty: the host is shown.
	Alias string
	// Hidden is masked in errors. URL, user and headers of the request are masked in
	// any case.
	Hidden []string
	// Shown are words of the URL and of Hidden that are not secret.
	Shown []string
	// BodyTimeout bounds the reading of the answer's body; zero: the attempt's timeout.
	BodyTimeout time.Duration
	// MaxAnswer is how much of the answer's body is read; zero: [MaxAnswer].
	MaxAnswer int64
}

// Post returns a POST request to a parsed URL, which net/http's constructors do not take.
func Post(to *url.URL, header http.Header, body []byte) *http.Request {
	request, _ := http.NewRequest(http.MethodPost, "/", bytes.NewReader(body)) // method and path are valid
	request.URL, request.Host, request.Header = to, to.Host, header
	return request
}

// An Answer is a receiver's HTTP response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // its first bytes
	// BodyErr is why the body breaks off, such as a lost connection. It is nil if the
	// body is only longer than what is read of it.
	BodyErr error

	hide *strings.Replacer
}

// Do sends a request and reads the answer, of any status, within the transport's timeout.
// A body that is longer than what is read costs its connection, or its stream with HTTP/2.
// The error is a [*notify.SendError].
func (t *Transport) Do(ctx context.Context, r *Request) (*Answer, error) {
	f := failure{parent: ctx, host: cmp.Or(r.Alias, r.URL.Host)}
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	client, err := t.current()
	if err == nil {
		err = t.judge(r.URL.Hostname())
	}
	if err == nil {
		var proxy *url.URL
		ctx, proxy, err = t.towards(ctx, r.URL)
		f.proxied = proxy != nil
	}
	var response *http.Response
	if err == nil {
		// A bare transport, unlike an http.Client, follows no redirects, keeps no cookies,
		// and puts no URL into its errors.
		response, err = client.http.RoundTrip(r.Request.WithContext(ctx))
	}
	if err == nil && f.proxied && r.URL.Scheme == "http" && response.StatusCode == http.StatusProxyAuthRequired {
		response.Body.Close()
		err = &proxyRefusal{response.StatusCode} // a request without a tunnel
	}
	if err != nil {
		f.err, f.connected, f.hide = err, connected.Load(), r.hide()
		return nil, f.classify()
	}
	if r.BodyTimeout > 0 {
		bounded := time.AfterFunc(r.BodyTimeout, cancel)
		defer bounded.Stop()
	}
	defer response.Body.Close()
	answer := &Answer{Status: response.StatusCode, Header: response.Header, hide: r.hide()}
	if answer.Status >= 200 { // the body of a 101 is the bare connection, which has no deadline
		answer.Body, answer.BodyErr = io.ReadAll(io.LimitReader(response.Body, cmp.Or(r.MaxAnswer, MaxAnswer)))
	}
	return answer, nil
}

// Failure returns the failure of an attempt whose answer is not a success, with the
// pause that the receiver asks for.
func (a *Answer) Failure() *notify.SendError {
	failed := &notify.SendError{Cause: notify.StatusCause(a.Status), Reason: a.reason()}
	if a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable {
		failed.RetryAfter = RetryAfter(a.Header.Get("Retry-After"), time.Now())
	}
	return failed
}

// StatusLine returns the status as text: "answered 404 Not Found".
func (a *Answer) StatusLine() string {
	return strings.TrimSpace(fmt.Sprintf("answered %d %s", a.Status, http.StatusText(a.Status)))
}

// Excerpt returns the first line of a text from the receiver, shortened and with the
// request's secrets masked.
func (a *Answer) Excerpt(text string) string { return excerpt(text, a.hide) }

// reason describes an answer: its status, and the first line of its body if that is text.
func (a *Answer) reason() string {
	text := a.StatusLine()
	if a.Status >= 300 && a.Status <= 399 {
		return text + ": redirects are not followed"
	}
	if a.Header.Get("Content-Encoding") != "" {
		return text // compressed, and not decompressed here
	}
	if line := a.Excerpt(string(a.Body)); line != "" {
		text += ": " + line
	}
	return text
}

// RetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or
// a date in any of HTTP's three formats. It returns at most a day from now, and the zero
// time if the header is invalid or lies in the past.
func RetryAfter(value string, now time.Time) time.Time {
	value = strings.TrimSpace(value)
	at, err := http.ParseTime(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, _ := strconv.ParseInt(value, 10, 64) // the largest int64 if it is larger
		at, err = now.Add(time.Duration(min(seconds, int64(notify.MaxPause/time.Second)))*time.Second), nil
	}
	latest := now.Add(notify.MaxPause)
	switch {
	case err != nil || !at.After(now):
		return time.Time{}
	case at.After(latest):
		return latest
	}
	return at
}

// A lateError is the cause with which an attempt's context ends at its timeout.
type lateError time.Duration

func (e lateError) Error() string { return fmt.Sprintf("nothing within %s", time.Duration(e)) }

// Timeout marks the error as a timeout, as package net does.
func (lateError) Timeout() bool { return true }
