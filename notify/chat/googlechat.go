package chat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// googleChat is Google Chat through a space's webhook
// (https://developers.google.com/workspace/chat/quickstart/webhooks).
var googleChat = &service{
	names: []string{"googlechat", "hangouts"},
	style: style{limit: 4096, length: inCharacters, markup: lookAlike},
	own: func(u *url.URL) *post {
		if u.Host != "chat.googleapis.com" || !strings.HasPrefix(u.Path, "/v1/spaces/") || !strings.HasSuffix(u.Path, "/messages") {
			return nil
		}
		return googlePost(u)
	},
	parse: func(u *url.URL) (*post, error) { // "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN"
		query := u.Query()
		if u.Hostname() == "" || query.Has("key") && query.Get("key") == "" || query.Has("token") && query.Get("token") == "" {
			return nil, errForm
		}
		to := *u
		to.Scheme, to.User = "https", nil
		return googlePost(&to), nil
	},
	judge: judgeGoogle,
}

func googlePost(u *url.URL) *post {
	return &post{url: u, hidden: words(u.String()), payload: func(text string, _ time.Time) any {
		return map[string]string{"text": text}
	}}
}

// judgeGoogle: success is 200 with the message. A refusal is
// {"error":{"code","message","status"}}, whose details may have a pause
// (https://cloud.google.com/apis/design/errors).
func judgeGoogle(a *transport.Answer) verdict {
	o := readObject(a.Body)
	switch {
	case o == nil:
		return verdict{}
	case !o.holds("error"):
		return verdict{accepted: a.Status == http.StatusOK}
	}
	e := o.object("error")
	code, ok := e.code("code")
	if !ok {
		code = int64(a.Status)
	}
	v := verdict{
		says: strings.TrimSpace(fmt.Sprintf("%s %s", e.text("status"), e.text("message"))),
		// An error object that breaks off is a refusal that is retried.
		cause: notify.CauseRefused, final: permanent(int(code)), wait: retryDelay(e),
	}
	if code >= 300 {
		v.cause = notify.StatusCause(int(code))
	}
	return v
}

// retryDelay finds a google.rpc.RetryInfo among an error's details.
func retryDelay(e object) time.Duration {
	var details []struct{ RetryDelay string }
	json.Unmarshal(e["details"], &details) // those of other types have none
	for _, detail := range details {
		if delay, err := time.ParseDuration(detail.RetryDelay); err == nil {
			return delay
		}
	}
	return 0
}
