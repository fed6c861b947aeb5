package chat

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
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
			signed := to
			signed.RawQuery = url.Values{
				"access_token": {token}, "timestamp": {at}, "sign": {sign(secret, at+"\n"+secret)},
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

// lark is Lark (Feishu) through a group's custom bot
// (https://open.larksuite.com/document/client-docs/bot-v3/add-custom-bot).
var lark = &service{
	names: []string{"lark", "feishu"},
	style: style{limit: 15_000, length: inBytes, markup: lookAlike}, // out of 20 KB for the whole request
	own: func(u *url.URL) *post {
		token, ok := strings.CutPrefix(u.Path, larkPath)
		if !ok || !larkHost(u.Host) || token == "" || strings.ContainsRune(token, '/') {
			return nil
		}
		return larkPost(u.Host, token, u.Query())
	},
	parse: func(u *url.URL) (*post, error) { // "lark://HOST/TOKEN?secret=SECRET"
		query, err := parameters(u, "secret", "title", "link")
		token := strings.Trim(u.Path, "/")
		if err != nil || !larkHost(u.Host) || token == "" {
			return nil, errForm
		}
		p := larkPost(u.Host, token, query)
		p.title = query.Get("title")
		return p, nil
	},
	judge: judgeLark,
}

const larkPath = "/open-apis/bot/v2/hook/"

func larkHost(host string) bool { return host == "open.larksuite.com" || host == "open.feishu.cn" }

// larkPost returns a post that signs its requests if the query has the bot's secret.
func larkPost(host, token string, query url.Values) *post {
	secret := query.Get("secret")
	to := &url.URL{Scheme: "https", Host: host, Path: larkPath + token}
	return &post{url: to, hidden: words(token + "/" + secret), payload: func(text string, now time.Time) any {
		m := map[string]any{"msg_type": "text", "content": map[string]string{"text": text}}
		if secret != "" {
			at := strconv.FormatInt(now.Unix(), 10)
			m["timestamp"], m["sign"] = at, sign(at+"\n"+secret, "") // this is the key; the message is empty
		}
		return m
	}}
}

var larkCodes = codes{
	throttled: []int64{11232, 11233, 230020, 99991400},
	final:     []int64{9499, 19001, 19002, 19003, 19005, 19006, 19007, 19021, 19022, 19024, 19036},
}

// judgeLark: success is "code" 0 or, in older versions, "StatusCode" 0. A header of a
// throttled answer has the pause
// (https://open.larksuite.com/document/server-docs/api-call-guide/frequency-control).
func judgeLark(a *transport.Answer) verdict {
	o := readObject(a.Body)
	code, ok := o.code("code")
	if !ok {
		code, ok = o.code("StatusCode")
	}
	says := cmp.Or(o.text("msg"), o.text("StatusMessage"))
	switch {
	case !ok:
		return verdict{wait: resetAfter(a, "X-Ogw-Ratelimit-Reset")}
	case code == 0 && a.Status == http.StatusOK:
		return verdict{accepted: true}
	}
	v := larkCodes.refusal(code, says)
	if strings.Contains(strings.ToLower(says), "too many request") { // 9499, which also stands for any bad request
		v.cause, v.final = notify.CauseThrottled, false
	}
	if v.cause == notify.CauseThrottled {
		v.wait = object{"": []byte(a.Header.Get("X-Ogw-Ratelimit-Reset"))}.seconds("")
	}
	return v
}

// sign returns the HMAC-SHA256 of a message in base64.
func sign(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// codes are the error codes of a service that puts them into the answer's body.
type codes struct {
	throttled []int64
	pause     time.Duration // after a throttled one
	final     []int64       // those that a retry would get again
}

// judge reads "errcode", of which 0 is success, and "errmsg".
func (c *codes) judge(a *transport.Answer) verdict {
	o := readObject(a.Body)
	code, ok := o.code("errcode")
	switch {
	case !ok:
		return verdict{}
	case code == 0 && a.Status == http.StatusOK:
		return verdict{accepted: true}
	}
	return c.refusal(code, o.text("errmsg"))
}

// refusal returns the verdict for a code other than success.
func (c *codes) refusal(code int64, says string) verdict {
	v := verdict{says: fmt.Sprintf("%d %s", code, says), cause: notify.CauseRefused, final: slices.Contains(c.final, code)}
	if slices.Contains(c.throttled, code) {
		v.cause, v.wait = notify.CauseThrottled, c.pause
	}
	return v
}
