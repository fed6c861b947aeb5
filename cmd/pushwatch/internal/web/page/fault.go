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
	Status      int
	Title, Text string
}

func (f *fault) Error() string { return f.Title + ": " + f.Text }

var (
	errNoPage   = &fault{http.StatusNotFound, "No such page", "There is nothing at this address."}
	errReadOnly = &fault{http.StatusForbidden, "Read-only access", `This token may only read. Sign in with a token of role = "write" to make changes.`}
)

// faultOf returns the fault to show for an error.
func (s *site) faultOf(ctx context.Context, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, watcher.ErrNoTask):
		return &fault{http.StatusNotFound, "No such push", "It was never registered, was removed, or is past its retention."}
	case errors.Is(err, engine.ErrEnded):
		return &fault{http.StatusConflict, "The push has ended", "It is no longer polled. Reopen it to watch it again."}
	case errors.Is(err, notify.ErrNoDelivery):
		return &fault{http.StatusNotFound, "No such delivery", "It never existed, or is past its retention."}
	case errors.Is(err, notify.ErrNoNotifier):
		return &fault{http.StatusNotFound, "No such notifier", "The settings do not name it."}
	case errors.Is(err, notify.ErrNoAccount):
		return &fault{http.StatusServiceUnavailable, "Nothing can be sent from here", "This process watches no account at the moment. Try again, or use another process of the installation."}
	}
	if field, ok := errors.AsType[*watcher.FieldError](err); ok {
		return &fault{http.StatusUnprocessableEntity, "This is not possible", field.Error()}
	}
	if ctx.Err() == nil {
		s.Log.Error("serve page", zap.Error(err))
	}
	return &fault{http.StatusServiceUnavailable, "The database does not answer", "Try again. The action may have been carried out; repeating it is safe."}
}
