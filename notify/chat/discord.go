package chat

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// discord is Discord through a webhook
// (https://docs.discord.com/developers/resources/webhook#execute-webhook).
var discord = &service{
	names: []string{"discord"},
	style: style{limit: 2000, length: inUTF16, markup: markdown},
	own: func(u *url.URL) *post {
		known := slices.Contains([]string{"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}, u.Host)
		if !known || !discordPath.MatchString(u.Path) {
			return nil
		}
		return discordPost(u, nil)
	},
	parse: parseDiscord,
	judge: judgeDiscord,
}

var discordPath = regexp.MustCompile(`^/api(/v[0-9]+)?/webhooks/[^/]+/[^/]+$`)

// parseDiscord reads "discord://TOKEN@ID".
func parseDiscord(u *url.URL) (*post, error) {
	query, err := parameters(u, "title", "username", "avatar", "avatarurl", "thread_id",
		"color", "colorerror", "colorwarn", "colorinfo", "colordebug", "splitlines", "json") // those in this line have no effect
	token := u.User.Username()
	if err != nil || u.Host == "" || token == "" || u.Path != "" {
		return nil, errForm
	}
	to := &url.URL{Scheme: "https", Host: "discord.com", Path: "/api/webhooks/" + strings.TrimSpace(u.Host) + "/" + strings.TrimSpace(token)}
	if thread := strings.TrimSpace(query.Get("thread_id")); thread != "" {
		to.RawQuery = url.Values{"thread_id": {thread}}.Encode()
	}
	return discordPost(to, query), nil
}

func discordPost(u *url.URL, query url.Values) *post {
	to := *u
	parameters := to.Query()
	parameters.Set("wait", "true") // otherwise Discord reports no error for a message that it did not save
	to.RawQuery = parameters.Encode()
	return &post{url: &to, title: query.Get("title"), hidden: words(u.String()), payload: func(text string, _ time.Time) any {
		const suppressEmbeds = 1 << 2
		m := map[string]any{"content": text, "allowed_mentions": map[string]any{"parse": []string{}}, "flags": suppressEmbeds}
		if user := query.Get("username"); user != "" {
			m["username"] = user
		}
		if avatar := query.Get("avatar") + query.Get("avatarurl"); avatar != "" {
			m["avatar_url"] = avatar
		}
		return m
	}}
}

// judgeDiscord: success is 200 with the message, or 204. Refusals have "code" and
// "message"; 429 has the pause in "retry_after" or a header
// (https://docs.discord.com/developers/topics/rate-limits).
func judgeDiscord(a *transport.Answer) verdict {
	o := readObject(a.Body)
	refused := o.holds("code") || o.has("retry_after")
	switch {
	case a.Status == http.StatusNoContent, a.Status == http.StatusOK && o != nil && !refused:
		return verdict{accepted: true}
	case !refused:
		return verdict{wait: resetAfter(a, "X-RateLimit-Reset-After")}
	}
	v := verdict{says: o.text("message"), wait: max(o.seconds("retry_after"), resetAfter(a, "X-RateLimit-Reset-After"))}
	if code, ok := o.code("code"); ok {
		v.says = fmt.Sprintf("%d %s", code, v.says)
	}
	switch {
	case o.has("retry_after"):
		v.cause = notify.CauseThrottled
	case a.Status <= 299:
		v.cause, v.final = notify.CauseRefused, true // Discord's codes concern the request
	default:
		v.final = permanent(a.Status)
	}
	return v
}

// resetAfter reads the pause in seconds from a header of a 429 answer.
func resetAfter(a *transport.Answer, header string) time.Duration {
	if a.Status != http.StatusTooManyRequests {
		return 0
	}
	return object{"": []byte(a.Header.Get(header))}.seconds("")
}
