package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// problem answers with a problem detail of RFC 9457.
func problem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	w.Header().Set("Content-Type", "application/problem+json")
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

// shorten is a [huma.Transformer] that cuts the values in a problem to a length
// that is fit to be read and logged.
func shorten(_ huma.Context, _ string, v any) (any, error) {
	const most = 200
	if p, ok := v.(*huma.ErrorModel); ok {
		for _, e := range p.Errors {
			if text, err := json.Marshal(e.Value); err == nil && len(text) > most {
				e.Value = strings.ToValidUTF8(string(text[:most]), "") + "…"
			}
		}
	}
	return v, nil
}

// fault is the answer to a request with one wrong value.
func fault(location string, value any, want string) error {
	return huma.Error422UnprocessableEntity("the request is faulty", &huma.ErrorDetail{Location: location, Value: value, Message: want})
}

// failure makes an error of the watching or the store one of the API.
func failure(ctx context.Context, log *zap.Logger, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, watcher.ErrNoTask):
		return huma.Error404NotFound("no such task: register it first with POST /v1/tasks")
	case errors.Is(err, watcher.ErrEnded):
		return huma.Error409Conflict("the task has ended and is not polled any more: to watch it anew, register it with ?reopen=true")
	}
	var details []error
	for _, e := range flatten(err) {
		if field, ok := errors.AsType[*watcher.FieldError](e); ok {
			details = append(details, &huma.ErrorDetail{Location: "body." + field.Field, Value: field.Value, Message: "want " + field.Want})
		}
	}
	if len(details) > 0 {
		return huma.Error422UnprocessableEntity("the request is faulty: nothing was changed", details...)
	}
	if ctx.Err() == nil {
		log.Error("serve request", zap.Error(err))
	}
	return huma.Error503ServiceUnavailable("the database does not answer as it should: try again; the request may have been carried out, and repeating it is harmless")
}

// flatten returns the errors that err joins, or err itself.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
