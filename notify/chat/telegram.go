package chat

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// telegram is Telegram through a bot (https://core.telegram.org/bots/api#sendmessage).
var telegram = &service{
	names: []string{"telegram"},
	style: style{limit: 4096, length: inUTF16, markup: telegramEntities},
	own: func(u *url.URL) *post {
		path := telegramPath.FindStringSubmatch(u.Path)
		query := u.Query()
		chats := list(query, "chat_id")
		if u.Host != "api.telegram.org" || path == nil || len(chats) != 1 {
			return nil
		}
		thread, _ := strconv.Atoi(query.Get("message_thread_id"))
		return telegramPost(path[1], telegramMessage{Chat: chats[0], Thread: thread, Silent: yes(query, "disable_notification", false)})
	},
	parse: parseTelegram,
	judge: judgeTelegram,
}

var telegramPath = regexp.MustCompile(`^/bot([0-9]+:[A-Za-z0-9_-]+)/sendMessage$`)

// parseTelegram reads "telegram://TOKEN@telegram?chats=CHAT", where CHAT is "@name" or a
// number, optionally with ":THREAD" after it.
func parseTelegram(u *url.URL) (*post, error) {
	query, err := parameters(u, "chats", "channels", "preview", "notification", "title", "parsemode") // texts are plain
	password, _ := u.User.Password()
	token := u.User.Username() + ":" + password
	if err != nil || !telegramPath.MatchString("/bot"+token+"/sendMessage") {
		return nil, errForm
	}
	chat, err := single(list(query, "chats", "channels"))
	if err != nil {
		return nil, err
	}
	m := telegramMessage{Silent: !yes(query, "notification", true)}
	var thread string
	m.Chat, thread, _ = strings.Cut(chat, ":")
	m.Thread, _ = strconv.Atoi(thread)
	p := telegramPost(token, m)
	p.title = query.Get("title")
	return p, nil
}

type telegramMessage struct {
	Chat    string `json:"chat_id"`
	Thread  int    `json:"message_thread_id,omitempty"`
	Text    string `json:"text"`
	Silent  bool   `json:"disable_notification,omitempty"`
	Preview struct {
		Disabled bool `json:"is_disabled"`
	} `json:"link_preview_options"`
}

func telegramPost(token string, m telegramMessage) *post {
	to := &url.URL{Scheme: "https", Host: "api.telegram.org", Path: "/bot" + token + "/sendMessage"}
	return &post{url: to, hidden: words(token + "/" + m.Chat), payload: func(text string, _ time.Time) any {
		m := m
		m.Text, m.Preview.Disabled = text, true
		return m
	}}
}

// judgeTelegram: success has "ok" true. A refusal has "error_code" and "description", and
// "parameters.retry_after" if it was throttled.
func judgeTelegram(a *transport.Answer) verdict {
	o := readObject(a.Body)
	if a.Status == http.StatusOK && o.isTrue("ok") {
		return verdict{accepted: true}
	}
	code, hasCode := o.code("error_code")
	if !hasCode {
		return verdict{}
	}
	says := o.text("description")
	if int(code) != a.Status {
		says = fmt.Sprintf("%d %s", code, says)
	}
	return verdict{
		says:  says,
		cause: notify.StatusCause(int(code)), final: permanent(int(code)),
		wait: o.object("parameters").seconds("retry_after"),
	}
}
