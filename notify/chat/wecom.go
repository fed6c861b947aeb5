package chat

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"pushwatch/notify/transport"
)

// wecom is WeCom (WeChat Work) by a group's bot (https://developer.work.weixin.qq.com/document/path/91770).
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
	judge: judgeWeCom,
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

// The codes are of https://developer.work.weixin.qq.com/document/path/90313.
var (
	wecomThrottled = []int64{45009, 45033}
	wecomFinal     = []int64{
		40001, 40008, 40014, 40033, 40035, 40058, 41001, 44004, 45002, // what was sent
		60020,                             // this machine's address is not on the bot's list
		93000, 93004, 93008, 93016, 93017, // the bot is unknown, disabled or no longer of the group
	}
)

// wecomPause is how long WeCom is left alone that finds the bot too fast: it counts the
// messages of a minute, and says no more.
const wecomPause = time.Minute

// judgeWeCom: "errcode" 0 is success.
func judgeWeCom(a *transport.Answer) verdict {
	o := readObject(a.Body)
	code, ok := o.code("errcode")
	switch {
	case !ok:
		return verdict{}
	case code == 0 && a.Status == http.StatusOK:
		return verdict{accepted: true}
	}
	v := byCode(code, o.text("errmsg"), wecomThrottled, wecomFinal)
	if slices.Contains(wecomThrottled, code) {
		v.wait = wecomPause
	}
	return v
}
