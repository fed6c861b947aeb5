package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// A service is a chat service to which a small JSON is posted, and which answers with
// a small one.
type service struct {
	names []string // of its URLs: NAME://…
	style style
	// own reads an https URL as the service gives it to its users; nil: it is none.
	own func(u *url.URL) *post
	// parse reads a NAME:// URL.
	parse func(u *url.URL) (*post, error)
	// judge says what an answer means that is neither a redirect nor of the server's
	// own failure (5xx).
	judge func(a *transport.Answer) verdict
}

// services are the chat services with a row of their own.
var services = []*service{slack, teams, teamsWorkflow, discord, telegram, wecom, dingTalk, lark, googleChat}

// A verdict is what a service's answer means. The zero verdict is an answer in which
// the service does not speak, such as the page of some proxy.
type verdict struct {
	accepted bool
	says     string        // the reason of a refusal, in the service's words
	cause    notify.Cause  // of a refusal, where the status does not say it; 0: the status's own
	final    bool          // the service will refuse it again
	wait     time.Duration // how long the service wants to hear nothing
}

// A post is the way to one recipient by a [service].
type post struct {
	service *service // set by who has read the URL
	url     *url.URL
	header  http.Header // sent along; nil: none
	title   string      // before each text, as the operator wrote it
	hidden  []string    // of the URL in the settings
	// payload is what is posted of a text.
	payload func(text string, now time.Time) any
	// sign returns the URL for one request; nil: it is url.
	sign func(now time.Time) *url.URL
}

func (p *post) name() string { return p.service.names[0] }

func (p *post) style() style {
	s := p.service.style
	if p.title != "" && s.limit > 0 {
		s.limit = max(1, s.limit-s.length(p.title+"\n"))
	}
	return s
}

func (p *post) check(ctx context.Context, t *transport.Transport) error {
	return t.Check(ctx, p.url, p.name(), p.hidden...)
}

func (p *post) send(ctx context.Context, t *transport.Transport, m message) (status int, err error) {
	now, to, text := time.Now(), p.url, m.text
	if p.sign != nil {
		to = p.sign(now)
	}
	if p.title != "" {
		text = p.title + "\n" + text
	}
	body, err := json.Marshal(p.payload(text, now))
	if err != nil {
		return 0, &notify.SendError{Cause: notify.CauseInternal, Reason: "encode message: " + err.Error(), Final: true, Err: err}
	}
	request, err := http.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	if err != nil {
		return 0, &notify.SendError{Cause: notify.CauseInternal, Reason: "make request", Err: err}
	}
	request.URL, request.Host = to, to.Host
	if p.header != nil {
		request.Header = p.header.Clone()
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", userAgent)
	answer, err := t.Do(ctx, &transport.Request{Request: request, Alias: p.name(), Hidden: p.hidden, Shown: publicWords})
	if err != nil {
		return 0, err
	}
	if failed := p.outcome(answer); failed != nil {
		return answer.Status, failed
	}
	return answer.Status, nil
}

const userAgent = "pushwatch-chat/1"

// publicWords stand in the URLs of all users of a service, and in its reasons too.
var publicWords = []string{
	"services", "webhook", "webhooks", "webhookb2", "IncomingWebhook", "workflows", "triggers", "manual", "invoke", "messages", "spaces",
	"sendMessage", "access_token", "channel", "timestamp", "secret", "thread_id",
}

// outcome says what an answer means; nil: the text is delivered.
func (p *post) outcome(a *transport.Answer) *notify.SendError {
	failed := a.Failure()
	v := p.service.judge(a)
	switch {
	case a.Status >= 300 && a.Status <= 399:
		return failed
	case a.Status >= 500:
		v.final, v.accepted = false, false
	case v.accepted:
		return nil
	}
	failed.Final = v.final
	if v.cause != notify.CauseOther && a.Status < 500 {
		failed.Cause = v.cause
	}
	switch {
	case v.says != "":
		failed.Reason = a.StatusLine() + ": " + a.Excerpt(v.says)
	case a.BodyErr != nil:
		failed.Reason = a.StatusLine() + ": the answer breaks off"
	}
	failed.Reason = p.name() + " " + failed.Reason
	// A chat service may ask for patience with any refusal.
	earliest := transport.RetryAfter(a.Header.Get("Retry-After"), time.Now())
	if at := time.Now().Add(min(max(v.wait, 0), notify.MaxPause)); v.wait > 0 && at.After(earliest) {
		earliest = at
	}
	if earliest.After(failed.RetryAfter) {
		failed.RetryAfter = earliest
	}
	return failed
}

// permanent reports whether a status says that a request will not do better later.
func permanent(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusMisdirectedRequest,
		http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status <= 499
}

// A refusal by a code in the body.
func byCode(code int64, says string, throttled, final []int64) verdict {
	v := verdict{says: fmt.Sprintf("%d %s", code, says), cause: notify.CauseRefused}
	for _, known := range throttled {
		if code == known {
			v.cause = notify.CauseThrottled
		}
	}
	for _, known := range final {
		v.final = v.final || code == known
	}
	return v
}

// isPage reports whether a body is a web page, and so no answer of a chat service.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }
