package chat

import (
	"net/url"
	"strings"
	"time"
)

// wecom is WeCom (WeChat Work) through a group's bot
// (https://developer.work.weixin.qq.com/document/path/91770).
var wecom = &service{
	names: []string{"wecom"},
	style: style{limit: 2048, length: inBytes},
	own: func(u *url.URL) *post {
		key := u.Query().Get("key")
		if u.Host != "qyapi.weixin.qq.com" || u.Path != "/cgi-bin/webhook/send" || key == "" {
			return nil
		}
		return wecomPost(key, nil)
	},
	parse: func(u *url.URL) (*post, error) { // "wecom://KEY"
		query, err := parameters(u, "mentioned_list", "mentioned_mobile_list")
		if err != nil || u.Host == "" || strings.ContainsAny(u.Host, "@!#$%^&*()+=[]{}|\\:;\"'<>?,./") {
			return nil, errForm
		}
		return wecomPost(u.Host, query), nil
	},
	judge: wecomCodes.judge,
}

func wecomPost(key string, query url.Values) *post {
	to := &url.URL{Scheme: "https", Host: "qyapi.weixin.qq.com", Path: "/cgi-bin/webhook/send", RawQuery: url.Values{"key": {key}}.Encode()}
	return &post{url: to, hidden: words(key), payload: func(text string, _ time.Time) any {
		content := map[string]any{"content": text}
		for _, name := range []string{"mentioned_list", "mentioned_mobile_list"} {
			if people := list(query, name); len(people) > 0 {
				content[name] = people
			}
		}
		return map[string]any{"msgtype": "text", "text": content}
	}}
}

// wecomCodes are documented at https://developer.work.weixin.qq.com/document/path/90313.
var wecomCodes = codes{
	throttled: []int64{45009, 45033},
	pause:     time.Minute, // WeCom counts messages per minute; it does not say how long to wait
	final: []int64{
		40001, 40008, 40014, 40033, 40035, 40058, 41001, 44004, 45002, // the request
		60020,                             // this machine's address is not on the bot's list
		93000, 93004, 93008, 93016, 93017, // the bot is unknown, disabled or no longer in the group
	},
}
