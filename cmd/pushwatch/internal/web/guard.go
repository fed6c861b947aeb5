package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pushwatch/cmd/pushwatch/internal/web/page"
)

const (
	batchPath  = "/v1/tasks/batch"
	streamPath = "/v1/events/stream"
)

// guard refuses what no honest client sends, and forbids browsers to do anything with the
// answers. Below it a request has a phase of its connection, and a time limit.
func guard(tokens *tokens, next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, phase := beginRequest(r.Context())
		defer phase.enter(idle)
		r = r.WithContext(ctx)
		list, _ := tokens.now()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		switch {
		case !clean(r.URL.Path):
			refuse(w, r, http.StatusBadRequest, "want a path without empty, . or .. parts and with nothing but text")
		case !textQuery(r.URL.RawQuery):
			refuse(w, r, http.StatusBadRequest, "want a query of percent-encoded UTF-8 without control characters")
		case page.Owns(r.URL.Path) && repeats(r.URL.Query()):
			refuse(w, r, http.StatusBadRequest, "want each parameter of the query once")
		case len(list) == 0 && !local(r) && !public(r.URL.Path):
			refuse(w, r, http.StatusMisdirectedRequest, fmt.Sprintf("Host = %.100q: without [[http.tokens]] want localhost or an IP address, "+
				"since a browser can be led here by any other name: set a token, or have the proxy send Host: localhost", r.Host))
		case origins.Check(r) != nil:
			refuse(w, r, http.StatusForbidden, "a page of another origin may not change anything here")
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

// repeats reports whether a query has a parameter more than once. No parameter of the page
// is a list; for those of the API see [refuseRepeated].
func repeats(query url.Values) bool {
	for _, values := range query {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// text reports whether s is UTF-8 without control characters.
func text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// local reports whether a request without credentials is from somebody who knows where it
// leads. A page whose name was made to resolve to this machine (DNS rebinding) is not: its
// browser sends that name.
func local(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.Network() == "unix" || localHost(r.Host)
}

// localHost reports whether a Host header is localhost or an IP address, with or without
// a port, written as RFC 3986 has it.
func localHost(host string) bool {
	if name, port, hasPort := strings.Cut(host, ":"); strings.EqualFold(name, "localhost") {
		_, err := strconv.ParseUint(port, 10, 16)
		return !hasPort || err == nil
	}
	address, err := netip.ParseAddrPort(host)
	if err != nil {
		address, err = netip.ParseAddrPort(host + ":80")
	}
	return err == nil && address.Addr().Zone() == ""
}

// unreadTime is for the rest of a body that is not read. The server reads a short one to
// its end, so that the client sees the answer.
const unreadTime = 500 * time.Millisecond

// dropBody gives up the body of a request.
func dropBody(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadTime))
		r.Body = http.NoBody
	}
}

// refuse answers a request whose body is not read.
func refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	dropBody(w, r)
	problem(w, status, detail)
}
