package tiwsim

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault disturbs the requests that it matches. If several match, the first one applies; those of
// [Config] and [Service.Inject] come before those of a [Life].
type Fault struct {
	// Kind is one of the Fault constants.
	Kind string `toml:"kind"`
	// From is when it begins: after [New] or [Service.Inject], or after the task of its
	// [Life] begins.
	From Duration `toml:"from"`
	// For is how long it lasts; zero: forever.
	For Duration `toml:"for"`
	// Probability that a matching request is disturbed, 0 < p <= 1; default 1.
	Probability float64 `toml:"probability"`

	// Account, SDKAppID and TaskID select requests; zero matches all. The last two match
	// only valid requests. A fault of a Life matches its task.
	Account  string `toml:"account"`
	SDKAppID int64  `toml:"sdk_app_id"`
	TaskID   string `toml:"task_id"`

	// Code and Message are those of the API error. The default Code is RequestLimitExceeded
	// for FaultThrottle, which needs this prefix, and InternalError for FaultError.
	Code    string `toml:"code"`
	Message string `toml:"message"`
	// Status is the HTTP status; default 502 for FaultHTTP, 302 for FaultRedirect.
	Status int `toml:"status"`
	// URL is the target of FaultRedirect.
	URL string `toml:"url"`
	// Limit is the lowered limit of FaultLimit, in requests per second.
	Limit int `toml:"limit"`
	// Every is the time between bytes of FaultSlow; default 100ms.
	Every Duration `toml:"every"`
	// Fields and Omit are those of [Answer], for FaultFields.
	Fields map[string]string `toml:"fields"`
	Omit   []string          `toml:"omit"`
	// Body is the answer of FaultBody; it may be empty.
	Body string `toml:"body"`
	// Size is the least size of FaultSize's answer in bytes, padded with blanks.
	Size int64 `toml:"size"`
}

// The kinds of faults.
const (
	FaultThrottle = "throttle" // answers RequestLimitExceeded, as if others used up the limit
	FaultError    = "error"    // answers an API error
	FaultLimit    = "limit"    // lowers the limit, by Account only
	FaultHTTP     = "http"     // answers an HTML page with a Status, as gateways do
	FaultHang     = "hang"     // delays the answer until the request is cancelled or the fault ends
	FaultCut      = "cut"      // cuts the connection in the middle of the body
	FaultNull     = "null"     // answers the body null
	FaultEmpty    = "empty"    // answers the body {}
	FaultBody     = "body"     // answers Body
	FaultFields   = "fields"   // replaces Fields of a valid answer, and leaves out those of Omit
	FaultSize     = "size"     // answers in Size bytes
	FaultRedirect = "redirect" // redirects to URL
	FaultClose    = "close"    // closes the connection without an answer
	FaultSlow     = "slow"     // sends the body a byte at a time
)

var faultKinds = []string{
	FaultThrottle, FaultError, FaultLimit, FaultHTTP, FaultHang, FaultCut,
	FaultNull, FaultEmpty, FaultBody, FaultFields, FaultSize, FaultRedirect, FaultClose, FaultSlow,
}

type activeFault struct {
	Fault
	begin, end time.Time     // zero end: never
	stopped    chan struct{} // closed when it is stopped
}

func newActiveFault(f Fault, now time.Time) *activeFault {
	active := &activeFault{Fault: f, begin: now.Add(time.Duration(f.From)), stopped: make(chan struct{})}
	if f.For > 0 {
		active.end = active.begin.Add(time.Duration(f.For))
	}
	return active
}

// Inject begins a fault now. It lasts until its end, or until stop is called. Further calls of
// stop do nothing.
func (s *Service) Inject(f Fault) (stop func(), err error) {
	var errs []error
	c := checker{errs: &errs}
	f.validate(c)
	named := func(a *account) bool { return a.Name == f.Account }
	c.check(f.Account == "" || slices.ContainsFunc(slices.Collect(maps.Values(s.bySecretID)), named), "account", f.Account, "the name of one of the accounts")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("inject fault: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	active := newActiveFault(f, time.Now())
	s.faults = append(s.faults, active)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.faults, active); i >= 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
			close(active.stopped)
		}
	}, nil
}

// faultFor returns the fault that applies to a request; nil: none.
func (s *Service) faultFor(account string, asked taskKey, now time.Time) *activeFault {
	disturbs := func(f *activeFault) bool {
		return f.Kind != FaultLimit && f.covers(account, now) &&
			(f.SDKAppID == 0 || f.SDKAppID == asked.sdkAppID) && (f.TaskID == "" || f.TaskID == asked.taskID) &&
			s.rng.Float64() < cmp.Or(f.Probability, 1)
	}
	if i := slices.IndexFunc(s.faults, disturbs); i >= 0 {
		return s.faults[i]
	}
	if t := s.tasks[asked]; t != nil && t.life != nil {
		for _, f := range t.life.Faults {
			if active := newActiveFault(f, t.start); disturbs(active) {
				return active
			}
		}
	}
	return nil
}

// lowestLimit returns the account's limit at a time.
func (s *Service) lowestLimit(account string, now time.Time) int {
	limit := s.limit
	for _, f := range s.faults {
		if f.Kind == FaultLimit && f.covers(account, now) {
			limit = min(limit, f.Limit)
		}
	}
	return limit
}

func (f *activeFault) covers(account string, now time.Time) bool {
	return !now.Before(f.begin) && (f.end.IsZero() || now.Before(f.end)) && (f.Account == "" || f.Account == account)
}

// apiError returns the fault's API error; nil: the fault is of another kind.
func (f *activeFault) apiError() *APIError {
	switch f.Kind {
	case FaultThrottle:
		e := throttled(cmp.Or(f.Code, "RequestLimitExceeded"))
		e.Message = cmp.Or(f.Message, e.Message)
		return e
	case FaultError:
		return refuse(cmp.Or(f.Code, "InternalError"), "%s", cmp.Or(f.Message, "an error of the scenario"))
	}
	return nil
}

// reply is the reply to a request: the body, after the delay, changed by the fault.
type reply struct {
	delay time.Duration
	body  []byte
	fault *activeFault // may be nil
}

const gatewayPage = "<html>\r\n<head><title>%</title></head>\r\n<body>\r\n<center><h1>%</h1></center>\r\n<hr><center>gateway</center>\r\n</body>\r\n</html>\r\n"

func (p reply) write(w http.ResponseWriter, r *http.Request) {
	f := p.fault
	if f == nil {
		f = new(activeFault)
	}
	switch f.Kind {
	case FaultHTTP:
		status := cmp.Or(f.Status, http.StatusBadGateway)
		title := strconv.Itoa(status) + " " + http.StatusText(status)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		w.Write([]byte(strings.ReplaceAll(gatewayPage, "%", title)))
		return
	case FaultRedirect:
		w.Header().Set("Location", f.URL)
		w.WriteHeader(cmp.Or(f.Status, http.StatusFound))
		return
	case FaultClose:
		panic(http.ErrAbortHandler)
	case FaultNull:
		p.body = []byte("null")
	case FaultEmpty:
		p.body = []byte("{}")
	case FaultBody:
		p.body = []byte(f.Body)
	case FaultHang:
		if !f.wait(r) {
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	f.send(w, r, p.body)
}

// send writes the body as the fault changes it.
func (f *activeFault) send(w http.ResponseWriter, r *http.Request, body []byte) {
	padding := int64(0)
	if f.Kind == FaultSize {
		padding = max(f.Size-int64(len(body)), 0)
	}
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(body))+padding, 10))
	switch f.Kind {
	case FaultCut:
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case FaultSlow:
		for _, b := range body {
			w.Write([]byte{b})
			http.NewResponseController(w).Flush()
			if !sleep(r.Context(), cmp.Or(time.Duration(f.Every), 100*time.Millisecond)) {
				return
			}
		}
	case FaultSize: // within the object, so that a client must read it
		w.Write(body[:1])
		for blanks := bytes.Repeat([]byte(" "), 32<<10); padding > 0; padding -= int64(len(blanks)) {
			if _, err := w.Write(blanks[:min(padding, int64(len(blanks)))]); err != nil {
				return // the client has gone
			}
		}
		w.Write(body[1:])
	default:
		w.Write(body)
	}
}

// wait waits for the end of the fault; false: the request was cancelled.
func (f *activeFault) wait(r *http.Request) bool {
	var end <-chan time.Time // nil, of a fault without an end, blocks forever
	if !f.end.IsZero() {
		end = time.After(time.Until(f.end))
	}
	select {
	case <-r.Context().Done():
		return false
	case <-end:
	case <-f.stopped:
	}
	return true
}
