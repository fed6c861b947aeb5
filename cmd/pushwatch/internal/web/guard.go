package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a request.
const (
	maxBody    = 1 << 20  // bytes
	maxBatch   = 16 << 20 // bytes, of a batch
	batchPath  = "/v1/tasks/batch"
	streamPath = "/v1/events/stream"

	bodyTimeout    = 30 * time.Second // for all of a body to arrive
	requestTimeout = time.Minute      // for all of a request; a stream has none
)

// guard refuses what no honest client sends, whatever it asks for, and says what
// a browser may do with the answers: nothing.
func guard(tokens *tokens, next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, _ := tokens.now()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		switch {
		case !clean(r.URL.Path):
			problem(w, http.StatusBadRequest, "want a path without empty, . or .. parts and with nothing but text")
		case !textQuery(r.URL.RawQuery):
			problem(w, http.StatusBadRequest, "want a query of percent-encoded UTF-8 without control characters")
		case len(list) == 0 && !local(r) && !public(r.URL.Path):
			problem(w, http.StatusMisdirectedRequest, fmt.Sprintf("Host = %.100q: without [[http.tokens]] want localhost or an IP address, "+
				"since a browser can be led here by any other name: set a token, or have the proxy send Host: localhost", r.Host))
		case origins.Check(r) != nil:
			problem(w, http.StatusForbidden, "a page of another origin may not change anything here")
		case r.URL.Path == streamPath:
			next.ServeHTTP(w, r)
		default:
			ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

// clean reports whether a path is the shortest of its kind, and text.
func clean(p string) bool {
	return text(p) && path.Clean(p) == p
}

// textQuery reports whether a query decodes to text.
func textQuery(raw string) bool {
	decoded, err := url.QueryUnescape(raw)
	return err == nil && text(decoded)
}

// text reports whether s is UTF-8 without control characters.
func text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// local reports whether a request without credentials is from who knows where it
// leads. A page whose name was made to resolve to this machine (DNS rebinding) is
// not: its browser sends that name.
func local(r *http.Request) bool {
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && address.Network() == "unix" {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// bodies reads the body of a request before anything else looks at it, within
// its limits.
func bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		limit := int64(maxBody)
		if r.URL.Path == batchPath {
			limit = maxBatch
		}
		rc := http.NewResponseController(w)
		rc.SetReadDeadline(time.Now().Add(bodyTimeout))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		var netErr net.Error
		switch {
		case err == nil:
			rc.SetReadDeadline(time.Time{})
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		case errors.As(err, new(*http.MaxBytesError)):
			problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is too large: want at most %d bytes", limit))
		case errors.As(err, &netErr) && netErr.Timeout():
			problem(w, http.StatusRequestTimeout, fmt.Sprintf("the body did not arrive within %s", bodyTimeout))
		default:
			problem(w, http.StatusBadRequest, "the body did not arrive whole")
		}
	})
}
