package chat

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// slack is Slack through an incoming webhook
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks) or a bot's
// or user's token (https://docs.slack.dev/reference/methods/chat.postMessage).
var slack = &service{
	names: []string{"slack"},
	style: style{limit: 4000, length: inCharacters, markup: slackEntities}, // as Slack advises; it cuts at 40,000
	own: func(u *url.URL) *post {
		known := u.Host == "hooks.slack.com" || u.Host == "hooks.slack-gov.com"
		if !known || !strings.HasPrefix(u.Path, "/services/") || strings.Count(u.Path, "/") != 4 {
			return nil
		}
		return slackPost(u, nil, "")
	},
	parse: parseSlack,
	judge: judgeSlack,
}

// slackToken finds the parts of a webhook's URL or of an API token: "hook:T…-B…-x…",
// "xoxb-1…-2…-x…", "T…/B…/x…".
var slackToken = regexp.MustCompile(`(?:(xox.|hook)[-:]|:?)([A-Z0-9]{9,})([-/,])([A-Z0-9]{9,})([-/,])([A-Za-z0-9]{24,})`)

// parseSlack reads "slack://hook:TOKEN@webhook", "slack://xoxb:TOKEN@CHANNEL" and the
// older "slack://BOT@A/B/C".
func parseSlack(u *url.URL) (*post, error) {
	query, err := parameters(u, "botname", "username", "icon", "icon_emoji", "icon_url", "color", "title", "thread_ts")
	if err != nil {
		return nil, err
	}
	token, channel := u.User.String(), u.Hostname()
	if len(u.Path) > 1 {
		if bot := u.User.Username(); bot != "" {
			query.Set("botname", bot)
		}
		token, channel = u.Hostname()+u.Path, "webhook"
	}
	parts := slackToken.FindStringSubmatch(token)
	if parts == nil || parts[3] != parts[5] || channel == "" {
		return nil, errForm
	}
	if strings.ContainsRune(channel, ',') {
		return nil, errSeveral
	}
	if kind := parts[1]; kind != "" && kind != "hook" {
		to := &url.URL{Scheme: "https", Host: "slack.com", Path: "/api/chat.postMessage"}
		token := kind + "-" + parts[2] + "-" + parts[4] + "-" + parts[6]
		p := slackPost(to, query, channel)
		p.header = http.Header{"Authorization": {"Bearer " + token}}
		p.hidden = append(p.hidden, words(channel+"/"+token)...)
		return p, nil
	}
	return slackPost(&url.URL{Scheme: "https", Host: "hooks.slack.com", Path: "/services/" + parts[2] + "/" + parts[4] + "/" + parts[6]}, query, ""), nil
}

// A slackMessage is the JSON for webhooks and tokens alike. It turns off formatting, and
// links made of names.
type slackMessage struct {
	Text        string            `json:"text,omitempty"`
	Markdown    bool              `json:"mrkdwn"`
	Parse       string            `json:"parse"`
	LinkNames   bool              `json:"link_names"`
	UnfurlLinks bool              `json:"unfurl_links"`
	UnfurlMedia bool              `json:"unfurl_media"`
	Channel     string            `json:"channel,omitempty"`
	Thread      string            `json:"thread_ts,omitempty"`
	User        string            `json:"username,omitempty"`
	IconEmoji   string            `json:"icon_emoji,omitempty"`
	IconURL     string            `json:"icon_url,omitempty"`
	Attachments []slackAttachment `json:"attachments,omitempty"`
}

type slackAttachment struct {
	Color    string   `json:"color"`
	Text     string   `json:"text"`
	Fallback string   `json:"fallback"`
	Markdown []string `json:"mrkdwn_in"` // none
}

// slackPost returns a post to a webhook, which has a channel, or to the named channel.
func slackPost(u *url.URL, query url.Values, channel string) *post {
	m := slackMessage{Channel: channel, Parse: "none", Thread: query.Get("thread_ts"), User: query.Get("botname") + query.Get("username")}
	icon := query.Get("icon") + query.Get("icon_emoji") + query.Get("icon_url")
	if strings.HasPrefix(icon, "http") {
		m.IconURL = icon
	} else {
		m.IconEmoji = icon
	}
	return &post{url: u, title: query.Get("title"), hidden: words(u.String()), payload: func(text string, _ time.Time) any {
		m := m
		if color := query.Get("color"); color != "" {
			m.Attachments = []slackAttachment{{Color: color, Text: text, Fallback: text, Markdown: []string{}}}
		} else {
			m.Text = text
		}
		return m
	}}
}

// slackWord is the form of a refusal, such as "channel_not_found" or the older "No service".
var slackWord = regexp.MustCompile(`^[A-Za-z_ ]{1,60}$`)

// slackFinal are the API's refusals, which come with status 200, that a retry would get
// again.
var slackFinal = []string{
	"access_denied", "account_inactive", "as_user_not_supported", "cannot_reply_to_message", "channel_is_archived", "channel_not_found",
	"duplicate_channel_not_found", "ekm_access_denied", "enterprise_is_restricted", "invalid_arguments", "invalid_auth", "invalid_blocks",
	"invalid_payload", "invalid_token", "is_archived", "missing_scope", "msg_too_long", "no_active_hooks", "no_permission", "no_service",
	"no_team", "no_text", "not_allowed_token_type", "not_authed", "not_in_channel", "restricted_action", "restricted_action_read_only_channel",
	"team_access_not_granted", "team_disabled", "team_not_found", "token_expired", "token_revoked", "user_not_found",
}

// judgeSlack: a webhook answers "ok" or the word of a refusal, the API {"ok":true} or the
// word in "error".
func judgeSlack(a *transport.Answer) verdict {
	word, o := strings.TrimSpace(string(a.Body)), readObject(a.Body)
	if a.Status == http.StatusOK && (word == "ok" || o.isTrue("ok")) {
		return verdict{accepted: true}
	}
	if o != nil {
		word = o.text("error")
	}
	if !slackWord.MatchString(word) {
		return verdict{}
	}
	v := verdict{says: word, cause: notify.CauseRefused, final: permanent(a.Status) || slices.Contains(slackFinal, word)}
	switch {
	case word == "ratelimited" || word == "rate_limited" || a.Status == http.StatusTooManyRequests:
		v.cause, v.final = notify.CauseThrottled, false
	case a.Status >= 300:
		v.cause = notify.CauseOther // the status says it
	}
	return v
}
