package page

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// A fault is an answer that is not what was asked for.
type fault struct {
	Status      int
	Title, Text string
}

func (f *fault) Error() string { return f.Title + ": " + f.Text }

var (
	errNoPage = &fault{http.StatusNotFound, "No such page", "There is nothing at this address."}
	errReader = &fault{http.StatusForbidden, "Only looking is allowed", `This token may only read. Sign in with one that has role = "write" to act.`}
)

// faultOf is what people are told of an error.
func (s *site) faultOf(ctx context.Context, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, watcher.ErrNoTask):
		return &fault{http.StatusNotFound, "No such task", "It was never registered, its watching was stopped, or it is past its retention."}
	case errors.Is(err, watcher.ErrEnded):
		return &fault{http.StatusConflict, "The task has ended", "It is not polled any more. Reopen it to watch it anew."}
	case errors.Is(err, notify.ErrNoDelivery):
		return &fault{http.StatusNotFound, "No such delivery", "There never was one, or it is past its retention."}
	case errors.Is(err, notify.ErrNoNotifier):
		return &fault{http.StatusNotFound, "No such notifier", "The settings do not name it any more."}
	case errors.Is(err, notify.ErrNoAccount):
		return &fault{http.StatusServiceUnavailable, "Nothing can be sent from here", "This process watches no account at the moment. Try again, or ask another one of the installation."}
	}
	if field, ok := errors.AsType[*watcher.FieldError](err); ok {
		return &fault{http.StatusUnprocessableEntity, "That cannot be done", field.Error()}
	}
	if ctx.Err() == nil {
		s.Log.Error("serve page", zap.Error(err))
	}
	return &fault{http.StatusServiceUnavailable, "The database does not answer as it should", "Try again. What was asked for may have been done, and asking again is harmless."}
}
