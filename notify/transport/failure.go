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

// SettingsError returns the failure of an attempt because a setting cannot be used, such
// as a missing file. err must show no secret.
func SettingsError(err error) *notify.SendError {
	return &notify.SendError{Cause: notify.CauseSettings, Reason: err.Error(), Err: err}
}

// A proxyRefusal is an error status from a proxy itself.
type proxyRefusal struct{ status int }

func (e *proxyRefusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", e.status, http.StatusText(e.status)))
}

// A failure is an attempt that got no answer.
type failure struct {
	parent    context.Context // the caller's, without the attempt's timeout
	err       error
	host      string
	proxied   bool
	connected bool              // to the receiver, not only to the proxy
	hide      *strings.Replacer // masks secrets; nil: there are none yet
}

// classify returns the failure with its cause.
func (f failure) classify() *notify.SendError {
	if errors.Is(f.parent.Err(), context.Canceled) {
		return &notify.SendError{Cause: notify.CauseInternal, Reason: "interrupted", Err: context.Cause(f.parent)}
	}
	if refused, ok := errors.AsType[*refusal](f.err); ok {
		return &notify.SendError{Cause: notify.CauseBlocked, Reason: refused.Error(), Err: refused}
	}
	if unusable, ok := errors.AsType[*notify.SendError](f.err); ok { // see SettingsError
		return unusable
	}
	if f.ofProxy() {
		return f.as(notify.CauseProxy, "reach "+f.host+" through the proxy")
	}
	if dns, ok := errors.AsType[*net.DNSError](f.err); ok {
		f.err = errors.New(dns.Err) // omits the name server's address
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

// as returns the failure of an operation. It quotes the error instead of wrapping it,
// because the error may contain text from the receiver.
func (f failure) as(cause notify.Cause, operation string) *notify.SendError {
	return &notify.SendError{Cause: cause, Reason: operation + ": " + excerpt(f.err.Error(), f.hide)}
}

// ofProxy reports whether the failure is the proxy's. Until the TLS handshake with the
// receiver every failure counts as the proxy's: they cannot be distinguished.
func (f failure) ofProxy() bool {
	if _, ok := errors.AsType[*proxyRefusal](f.err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](f.err); ok && op.Op == "proxyconnect" {
		return true
	}
	return f.proxied && !f.connected && !ofTLS(f.err)
}

// ofTLS reports whether an error comes from TLS, on this side or the other. Most such
// errors have no type, but their texts begin with "tls: ".
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
