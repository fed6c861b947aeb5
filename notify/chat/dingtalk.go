package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"
)

// dingTalk is DingTalk through a group's custom bot
// (https://open.dingtalk.com/document/robots/custom-robot-access).
var dingTalk = &service{
	names: []string{"dingtalk"},
	style: style{limit: 15_000, length: inBytes}, // out of 20,000 for the whole request
	own: func(u *url.URL) *post {
		query := u.Query()
		known := u.Host == "oapi.dingtalk.com" || u.Host == "oapi.dingtalk.io"
		if !known || u.Path != "/robot/send" || query.Get("access_token") == "" {
			return nil
		}
		return dingTalkPost(u.Host, query.Get("access_token"), query)
	},
	parse: func(u *url.URL) (*post, error) { // "dingtalk://TOKEN?secret=SECRET", or SECRET@TOKEN, or TOKEN@dingtalk
		query, err := parameters(u, "secret", "title")
		token, user := u.Hostname(), u.User.Username()
		if err != nil || token == "" || len(u.Path) > 1 {
			return nil, errForm
		}
		switch {
		case user != "" && token == "dingtalk":
			token = user
		case user != "":
			query.Set("secret", user)
		}
		p := dingTalkPost("oapi.dingtalk.com", token, query)
		p.title = query.Get("title")
		return p, nil
	},
	judge: dingTalkCodes.judge,
}

// dingTalkPost returns a post that signs its requests if the query has the bot's secret.
func dingTalkPost(host, token string, query url.Values) *post {
	to := url.URL{Scheme: "https", Host: host, Path: "/robot/send", RawQuery: url.Values{"access_token": {token}}.Encode()}
	secret := query.Get("secret")
	p := &post{url: &to, hidden: words(token + "/" + secret), payload: func(text string, _ time.Time) any {
		return map[string]any{"msgtype": "text", "text": map[string]string{"content": text}, "at": map[string]bool{"isAtAll": false}}
	}}
	if secret != "" {
		p.sign = func(now time.Time) *url.URL {
			at := strconv.FormatInt(now.UnixMilli(), 10)
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(at + "\n" + secret))
			signed := to
			signed.RawQuery = url.Values{
				"access_token": {token}, "timestamp": {at}, "sign": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
			}.Encode()
			return &signed
		}
	}
	return p
}

// dingTalkCodes are documented at
// https://open.dingtalk.com/document/robots/custom-robot-access.
var dingTalkCodes = codes{
	throttled: []int64{90018, 90030, 130101, 130102, 410100},
	pause:     10 * time.Minute, // after more than 20 messages within a minute
	final: []int64{
		40014, 40035, 43004, 300001, 300005, 310000, // the request, such as its signature or a missing keyword
		400013, 400101, 400102, 400105, 400106, // the group or the bot is gone
		430101, 430102, 430103, 430104, // the content
	},
}
