package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

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
			mac := hmac.New(sha256.New, []byte(at+"\n"+secret)) // this is the key; the signed message is empty
			m["timestamp"], m["sign"] = at, base64.StdEncoding.EncodeToString(mac.Sum(nil))
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
	says := o.text("msg") + o.text("StatusMessage")
	if o.has("msg") {
		says = o.text("msg")
	}
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
