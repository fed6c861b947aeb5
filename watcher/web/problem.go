package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// problem answers with a problem detail of RFC 9457.
func problem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body)
}

// problems makes the mux's own plain-text errors problem details too.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		c := &caught{header: make(http.Header)}
		mux.ServeHTTP(c, r)
		switch allow := c.header.Get("Allow"); {
		case c.status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", allow)
			problem(w, c.status, r.Method+" is not for "+r.URL.Path+": it takes "+allow)
		case c.status >= 300 && c.status < 400:
			http.Redirect(w, r, c.header.Get("Location"), c.status)
		default:
			problem(w, http.StatusNotFound, "there is no "+strings.ToValidUTF8(r.URL.Path, "�")+": see /openapi.json")
		}
	})
}

// caught holds an answer's status and header, and drops its body.
type caught struct {
	header http.Header
	status int
}

func (c *caught) Header() http.Header         { return c.header }
func (c *caught) WriteHeader(status int)      { c.status = status }
func (c *caught) Write(b []byte) (int, error) { return len(b), nil }
