package page

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// A fault is an error with a text for people.
type fault struct {
	Status int
	Title  message
	Text   any   // a message, or a text
	View   *view // to show instead of the fault alone; nil: none
}

func (f *fault) Error() string { return f.Title.ID }

var (
	errNoPage   = &fault{Status: http.StatusNotFound, Title: say("fault.no_page"), Text: say("fault.no_page_text")}
	errReadOnly = &fault{Status: http.StatusForbidden, Title: say("fault.read_only"), Text: say("fault.read_only_text")}
)

// faults are the faults of the errors that the watcher and the notifiers return.
var faults = []struct {
	err    error
	status int
	id     string
}{
	{watcher.ErrNoTask, http.StatusNotFound, "fault.no_task"},
	{engine.ErrEnded, http.StatusConflict, "fault.ended"},
	{notify.ErrNoDelivery, http.StatusNotFound, "fault.no_delivery"},
	{notify.ErrNoNotifier, http.StatusNotFound, "fault.no_notifier"},
	{notify.ErrNoAccount, http.StatusServiceUnavailable, "fault.no_account"},
}

// faultOf returns the fault to show for an error.
func (s *site) faultOf(ctx context.Context, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return &fault{Status: f.status, Title: say(f.id), Text: say(f.id + "_text")}
		}
	}
	if field, ok := errors.AsType[*watcher.FieldError](err); ok {
		return &fault{Status: http.StatusUnprocessableEntity, Title: say("fault.invalid"), Text: field.Error()}
	}
	if ctx.Err() == nil {
		s.Log.Error("serve page", zap.Error(err))
	}
	return &fault{Status: http.StatusServiceUnavailable, Title: say("fault.database"), Text: say("fault.database_text")}
}

// badFilter is the fault of a filter that cannot be used.
func badFilter(id string) error {
	return &fault{Status: http.StatusUnprocessableEntity, Title: say("fault.filter"), Text: say(id)}
}
