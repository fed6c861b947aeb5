package webhook

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/notify"
)

const (
	maxAnswer   = 16 << 10 // bytes read of an answer's body
	bodyTimeout = time.Second
)

// outcome says what an answer means, and closes its body.
func (s *Sender) outcome(response *http.Response) error {
	defer response.Body.Close()
	status := response.StatusCode
	var body []byte
	if status >= 200 { // the body of a 101 is the bare connection, which has no deadline
		body, _ = io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // what came is enough
	}
	if status >= 200 && status <= 299 {
		return nil
	}

	failed := &notify.SendError{
		Cause:  notify.StatusCause(status),
		Reason: reason(response, body, hide(response.Request)),
		Gone:   status == http.StatusGone,
		Final:  slices.Contains(s.config.FinalStatus, status),
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		failed.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return failed
}

// reason puts an answer into words: the status, and the body's first line where
// it is text.
func reason(response *http.Response, body []byte, hide *strings.Replacer) string {
	status := response.StatusCode
	text := fmt.Sprintf("answered %d", status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	if status >= 300 && status <= 399 {
		return text + ": redirects are not followed"
	}
	if response.Header.Get("Content-Encoding") != "" {
		return text // packed, and not to be unpacked
	}
	if line := excerpt(string(body), hide); line != "" {
		text += ": " + line
	}
	return text
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or
// a date in any of HTTP's three formats. It returns the zero time where that says
// nothing or lies in the past, and at most a day from now.
func retryAfter(value string, now time.Time) time.Time {
	value = strings.TrimSpace(value)
	latest := now.Add(notify.MaxPause)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil || seconds > uint64(notify.MaxPause/time.Second): // err: beyond 64 bits
			return latest
		case seconds == 0:
			return time.Time{}
		}
		return now.Add(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(value)
	switch {
	case err != nil || !at.After(now):
		return time.Time{}
	case at.After(latest):
		return latest
	}
	return at
}
