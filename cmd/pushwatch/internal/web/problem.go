package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// problem writes an error as problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string, faults ...*api.Fault) {
	body, _ := json.Marshal(api.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: faults})
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(status)
	w.Write(body)
}

// problems turns the mux's own plain-text errors into problem details.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		c := &headRecorder{header: make(http.Header)}
		mux.ServeHTTP(c, r)
		switch allow := c.header.Get("Allow"); {
		case c.status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", allow)
			problem(w, c.status, r.Method+" is not allowed for "+r.URL.Path+": want "+allow)
		case c.status >= 300 && c.status < 400:
			http.Redirect(w, r, c.header.Get("Location"), c.status)
		default:
			problem(w, http.StatusNotFound, "there is no "+strings.ToValidUTF8(r.URL.Path, "�")+": see /openapi.json")
		}
	})
}

// A headRecorder records an answer's status and header, and drops its body.
type headRecorder struct {
	header http.Header
	status int
}

func (c *headRecorder) Header() http.Header         { return c.header }
func (c *headRecorder) WriteHeader(status int)      { c.status = status }
func (c *headRecorder) Write(b []byte) (int, error) { return len(b), nil }

// maxFaults is how many faults of a request are listed; the others are only counted.
const maxFaults = 100

// clarify is a [huma.Transformer] that rewrites validation errors: where the fault is, what
// was given, what would be right.
func clarify(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*api.Problem); ok {
		if p.Detail == "validation failed" {
			p.Detail = "the request is invalid"
		}
		if more := len(p.Errors) - maxFaults; more > 0 {
			p.Errors = p.Errors[:maxFaults]
			p.Detail += fmt.Sprintf(": these are the first %d faults, there are %d more", maxFaults, more)
		}
		for _, e := range p.Errors {
			reword(e)
			e.Value = shortened(e.Value)
		}
	}
	return v, nil
}

// missing matches the validation's message about a missing property.
var missing = regexp.MustCompile("^" + fmt.Sprintf(regexp.QuoteMeta(validation.MsgExpectedRequiredProperty), "(.+)") + "$")

func reword(e *api.Fault) {
	if property := missing.FindStringSubmatch(e.Message); property != nil {
		e.Location, e.Value, e.Message = e.Location+"."+property[1], nil, "is missing"
		return
	}
	if kind, ok := strings.CutPrefix(e.Message, huma.ErrUnknownContentType.Error()+": "); ok {
		e.Location, e.Value, e.Message = "header.Content-Type", kind, "want application/json"
		return
	}
	switch e.Message {
	case validation.MsgUnexpectedProperty: // e.Value is the object around it
		if object, ok := e.Value.(map[string]any); ok {
			e.Value = object[e.Location[strings.LastIndexByte(e.Location, '.')+1:]]
		}
		e.Message = "there is no such field: see /openapi.json"
	case validation.MsgExpectedInteger, "invalid integer":
		e.Message = "want a whole number of 64 bits, written only with digits"
	}
}

// shortened shortens a value so that it can be read and logged.
func shortened(value any) any {
	const most = 200
	text, isText := value.(string)
	if !isText {
		encoded, _ := json.Marshal(value)
		text = string(encoded)
	}
	if len(text) <= most {
		return value
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// fault returns the error for a request with one wrong value.
func fault(location string, value any, want string) error {
	return huma.Error422UnprocessableEntity("the request is invalid", &api.Fault{Location: location, Value: value, Message: want})
}

// failures are the answers to errors of the watcher and the notifiers.
var failures = []struct {
	err    error
	status int
	detail string
}{
	{watcher.ErrNoTask, http.StatusNotFound, "no such task: register it first with POST /v1/tasks"},
	{engine.ErrEnded, http.StatusConflict, "the task has ended and is no longer polled: to watch it again, register it with ?reopen=true"},
	{notify.ErrNoDelivery, http.StatusNotFound, "no such delivery: GET /v1/deliveries lists them"},
	{notify.ErrNoNotifier, http.StatusNotFound, "no such notifier: GET /v1/notifiers lists them"},
	{notify.ErrNoAccount, http.StatusServiceUnavailable, "no process owns an account at the moment: try again"},
}

// failure converts an error of the watcher, the notifiers or the store into one of the API;
// those of the API stay as they are.
func failure(ctx context.Context, log *zap.Logger, err error) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok || err == nil {
		return err
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return huma.NewError(f.status, f.detail)
		}
	}
	var details []error
	for _, field := range watcher.FieldErrors(err) {
		details = append(details, &api.Fault{Location: "body." + field.Field, Value: field.Value, Message: "want " + field.Want})
	}
	if len(details) > 0 {
		return huma.Error422UnprocessableEntity("the request is invalid: nothing was changed", details...)
	}
	if ctx.Err() == nil {
		log.Error("request failed", zap.Error(err))
	}
	return huma.Error503ServiceUnavailable("the database failed: try again; the request may have been carried out, and repeating it is harmless")
}
