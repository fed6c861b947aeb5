package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"pushwatch/notify"
)

// SettingsError returns the failure of an attempt for which a setting cannot be
// used, such as a file that is not there. err shows no secret.
func SettingsError(err error) *notify.SendError {
	return &notify.SendError{Cause: notify.CauseSettings, Reason: err.Error(), Err: err}
}

// A settingsError is a setting that could not be used at the time of an attempt.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }

// A proxyRefusal is a status with which a proxy itself answered.
type proxyRefusal struct{ status int }

func (e *proxyRefusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", e.status, http.StatusText(e.status)))
}

// A failure is an attempt that got no answer.
type failure struct {
	parent    context.Context // of the caller, without the attempt's own timeout
	err       error
	host      string
	proxied   bool
	connected bool              // as far as the receiver, where there is a proxy
	hide      *strings.Replacer // nil: there is nothing to hide yet
}

// sorted says what the failure means.
func (f failure) sorted() *notify.SendError {
	if errors.Is(f.parent.Err(), context.Canceled) {
		return &notify.SendError{Cause: notify.CauseInternal, Reason: "interrupted", Err: context.Cause(f.parent)}
	}
	if refused, ok := errors.AsType[*refusal](f.err); ok {
		return &notify.SendError{Cause: notify.CauseBlocked, Reason: refused.Error(), Err: refused}
	}
	if unusable, ok := errors.AsType[settingsError](f.err); ok {
		return SettingsError(unusable)
	}
	if f.ofProxy() {
		return f.as(notify.CauseProxy, "reach "+f.host+" through the proxy")
	}
	if dns, ok := errors.AsType[*net.DNSError](f.err); ok {
		f.err = errors.New(dns.Err) // without the name server's address
		return f.as(notify.CauseDNS, "resolve "+f.host)
	}
	if late, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](f.err); ok && late.Timeout() {
		return f.as(notify.CauseTimeout, "wait for "+f.host)
	}
	if ofTLS(f.err) {
		return f.as(notify.CauseTLS, "TLS with "+f.host)
	}
	if op, ok := errors.AsType[*net.OpError](f.err); ok && op.Op == "dial" {
		return f.as(notify.CauseConnect, "connect to "+f.host)
	}
	return f.as(notify.CauseOther, "post to "+f.host)
}

// as returns the failure of an operation. The error is quoted, not wrapped: it may
// hold what the receiver sent.
func (f failure) as(cause notify.Cause, operation string) *notify.SendError {
	return &notify.SendError{Cause: cause, Reason: operation + ": " + excerpt(f.err.Error(), f.hide)}
}

// ofProxy tells whether the failure is the proxy's. Up to the TLS handshake with
// the receiver all of them are, as far as can be seen from here.
func (f failure) ofProxy() bool {
	if _, ok := errors.AsType[*proxyRefusal](f.err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](f.err); ok && op.Op == "proxyconnect" {
		return true
	}
	return f.proxied && !f.connected && !ofTLS(f.err)
}

// ofTLS tells whether an error is TLS's own or an alert of the other side. Most
// have no type of their own, but all say "tls: ".
func ofTLS(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op == "remote error" || op.Op == "local error"
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(err.Error(), "tls: ") {
			return true
		}
	}
	return false
}
