package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"pushwatch/notify"
)

// Send implements [notify.Sender]. The status is known of a failure only.
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	message, err := text(d.Body)
	if err != nil {
		return 0, &notify.SendError{Reason: err.Error(), Final: true, Err: err}
	}
	target, err := readURL(s.config.URL)
	if err != nil {
		return 0, &notify.SendError{Cause: notify.CauseSettings, Reason: "url: " + err.Error(), Err: err}
	}

	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ended(parent, target, "an attempt before still waits for an answer")
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.turn }()
		done <- contain(func() error { return s.post(target, message) })
	}()
	select {
	case err := <-done:
		return failed(target, err)
	case <-ctx.Done():
		return 0, ended(parent, target, "no answer in time")
	}
}

// post sends a message to the service at u. The service is kept while its URL
// stays the same: some hold connections, and one has to log in.
func (s *Sender) post(u *url.URL, message string) error {
	if s.service == nil || s.opened != u.String() {
		service, err := open(u)
		if err != nil {
			return err
		}
		s.service, s.opened = service, u.String()
	}
	err := s.service.Send(message, &types.Params{})
	if err != nil && u.Scheme == matrix.Scheme {
		s.service = nil // perhaps its login has run out
	}
	return err
}

// ended returns the failure of an attempt whose context has ended.
func ended(parent context.Context, u *url.URL, why string) *notify.SendError {
	if errors.Is(parent.Err(), context.Canceled) {
		return &notify.SendError{Cause: notify.CauseInternal, Reason: "interrupted", Err: context.Cause(parent)}
	}
	return &notify.SendError{Cause: notify.CauseTimeout, Reason: "post to " + serviceName(u) + ": " + why}
}

// causes sorts a service's errors by what they say, as few wrap their cause. The
// first that fits is taken.
var causes = []struct {
	says   string
	cause  notify.Cause
	reason string
}{
	{"proxyconnect ", notify.CauseProxy, "the proxy of the environment cannot be reached"},
	{"lookup ", notify.CauseDNS, "its name is not resolved"},
	{"deadline exceeded", notify.CauseTimeout, "no answer in time"},
	{"i/o timeout", notify.CauseTimeout, "no answer in time"},
	{"x509: ", notify.CauseTLS, "its certificate is not trusted"},
	{"tls: ", notify.CauseTLS, "the TLS handshake failed"},
	{"dial tcp ", notify.CauseConnect, "no connection"},
}

// statusPattern finds the HTTP status in a service's error: "…: 404 Not Found",
// "…: 404", "HTTP 404", "server returned status 404".
var statusPattern = regexp.MustCompile(`(?:: |HTTP |status "?)([3-5][0-9]{2})\b`)

// failed makes of a service's error what may be shown of it: nothing of its own
// text but a status.
func failed(u *url.URL, err error) (status int, _ error) {
	if err == nil {
		return 0, nil
	}
	operation := "post to " + serviceName(u) + ": "
	if match := statusPattern.FindStringSubmatch(err.Error()); match != nil {
		status, _ := strconv.Atoi(match[1])
		if u.Scheme == smtp.Scheme { // whose numbers are not HTTP's
			return 0, &notify.SendError{Reason: fmt.Sprintf("%sanswered %d", operation, status)}
		}
		if name := http.StatusText(status); name != "" {
			return status, &notify.SendError{Cause: notify.StatusCause(status), Reason: fmt.Sprintf("%sanswered %d %s", operation, status, name)}
		}
	}
	for _, known := range causes {
		if strings.Contains(err.Error(), known.says) {
			return 0, &notify.SendError{Cause: known.cause, Reason: operation + known.reason}
		}
	}
	return 0, &notify.SendError{Reason: operation + "it did not take the message"}
}
