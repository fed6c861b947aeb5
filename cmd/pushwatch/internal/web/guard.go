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

// guard refuses malformed and cross-origin requests, and sets headers that forbid browsers to
// do anything with the answers. It also starts the request's phase (see [phase]) and timeout.
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
			refuse(w, r, http.StatusBadRequest, "want a path in UTF-8 without control characters and without empty, . or .. parts")
		case !textQuery(r.URL.RawQuery):
			refuse(w, r, http.StatusBadRequest, "want a query of percent-encoded UTF-8 without control characters")
		case page.Owns(r.URL.Path) && repeats(r.URL.Query()):
			refuse(w, r, http.StatusBadRequest, "want each parameter of the query once")
		case len(list) == 0 && !local(r) && !public(r.URL.Path):
			refuse(w, r, http.StatusMisdirectedRequest, fmt.Sprintf("Host = %.100q: without [[http.tokens]] want localhost or an IP address, "+
				"because any other name could lead a browser here: set a token, or let the proxy send Host: localhost", r.Host))
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

// clean reports whether a path is in its shortest form and is text.
func clean(p string) bool {
	return text(p) && path.Clean(p) == p
}

// textQuery reports whether a query decodes to text.
func textQuery(raw string) bool {
	decoded, err := url.QueryUnescape(raw)
	return err == nil && text(decoded)
}

// repeats reports whether a query repeats a parameter. The page has no parameter that is a
// list; for the API see [refuseRepeated].
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

// local reports whether the client of a request without credentials knows that it talks to
// pushwatch. A website whose name was made to resolve to this machine (DNS rebinding) does
// not: the browser sends that name as Host.
func local(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.Network() == "unix" || localHost(r.Host)
}

// localHost reports whether a Host header is localhost or an IP address, with or without a
// port, in the form of RFC 3986.
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

// unreadTime is how long the server may read the rest of a dropped body, so that the client
// gets the answer.
const unreadTime = 500 * time.Millisecond

// dropBody drops the body of a request.
func dropBody(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadTime))
		r.Body = http.NoBody
	}
}

// refuse answers a request with an error and drops its body.
func refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	dropBody(w, r)
	problem(w, status, detail)
}
