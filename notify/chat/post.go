package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// A service is a chat service that accepts a text as a JSON object by HTTP POST.
type service struct {
	names []string // the schemes of its URLs: NAME://…
	style style
	// own reads an https URL that the service issued; nil: it is not one.
	own func(u *url.URL) *post
	// parse reads a NAME:// URL.
	parse func(u *url.URL) (*post, error)
	// judge returns what an answer means, except for redirects and server errors (5xx).
	judge func(a *transport.Answer) verdict
}

// services are the chat services that are not left to the library.
var services = []*service{slack, teams, teamsWorkflow, discord, telegram, wecom, dingTalk, lark, googleChat}

// A verdict is what a service's answer means. The zero verdict is an answer that does not
// come from the service, such as a proxy's error page.
type verdict struct {
	accepted bool
	says     string        // the reason of a refusal, in the service's words
	cause    notify.Cause  // of a refusal; 0: the one that the status implies
	final    bool          // a retry would be refused too
	wait     time.Duration // the pause that the service asks for
}

// A post is the [destination] of a [service].
type post struct {
	service *service // set by the reader of the URL
	url     *url.URL
	header  http.Header // of each request; nil: none
	title   string      // put before each text; from the operator
	hidden  []string    // secrets of the URL in the settings
	// payload returns the JSON to post for a text.
	payload func(text string, now time.Time) any
	// sign returns the URL for one request; nil: url is used unsigned.
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
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "User-Agent": {userAgent}}
	maps.Copy(header, p.header)
	answer, err := t.Do(ctx, &transport.Request{Request: transport.Post(to, header, body), Alias: p.name(), Hidden: p.hidden, Shown: publicWords})
	if err != nil {
		return 0, err
	}
	if failed := p.outcome(answer); failed != nil {
		return answer.Status, failed
	}
	return answer.Status, nil
}

const userAgent = "pushwatch-chat/1"

// publicWords are parts of the services' URLs that are the same for all users. They are
// not masked, because reasons contain them too.
var publicWords = []string{
	"services", "webhook", "webhooks", "webhookb2", "IncomingWebhook", "workflows", "triggers", "manual", "invoke", "messages", "spaces",
	"sendMessage", "access_token", "channel", "timestamp", "secret", "thread_id",
}

// outcome returns the failure that an answer means; nil: the text is delivered.
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
	// A chat service may ask for a pause with any refusal.
	failed.RetryAfter = transport.RetryAfter(a.Header.Get("Retry-After"), time.Now())
	if at := time.Now().Add(min(v.wait, notify.MaxPause)); v.wait > 0 && at.After(failed.RetryAfter) {
		failed.RetryAfter = at
	}
	return failed
}

// permanent reports whether a status means that a retry would be refused too.
func permanent(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusMisdirectedRequest,
		http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status <= 499
}

// isPage reports whether a body is a web page, and so no answer of a chat service.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }
