package chat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/url"
	"strings"
	"testing"
	"time"

	"pushwatch/notify"
)

var quiet = log.New(io.Discard, "", 0)

const (
	slackHook     = "https://hooks.slack.com/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"
	teamsID       = "11111111-4444-4444-8444-cccccccccccc"
	teamsHook     = "https://school.webhook.office.com/webhookb2/" + teamsID + "@" + teamsID + "/IncomingWebhook/33333333012222222222333333333344/" + teamsID
	teamsFlow     = "https://prod-12.westus.logic.azure.com:443/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cret-signature"
	teamsPlatform = "https://default0123456789.4d.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sig=s3cret-signature"
	discordHook   = "https://discord.com/api/webhooks/123456789012345678/token-token-token"
	telegramBot   = "123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI"
	wecomKey      = "693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa"
	googleHook    = "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=k3y-k3y&token=t0ken-t0ken"
)

// forms are the URLs of each service, with the request that each leads to.
var forms = []struct{ url, name, host, path string }{
	{slackHook, "slack", "hooks.slack.com", "/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"},
	{"slack+" + slackHook, "slack", "hooks.slack.com", "/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"},
	{"slack://hook:T0000AAAA-B0000BBBB-abcdefghijklmnopqrstuvwx@webhook?botname=watch", "slack", "hooks.slack.com", "/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"},
	{"slack://T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx", "slack", "hooks.slack.com", "/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"},
	{"slack://watch@T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx", "slack", "hooks.slack.com", "/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"},
	{"slack://xoxb:123456789012-1234567890123-abcdefghijklmnopqrstuvwx@C001122334?color=good&thread_ts=1.2", "slack", "slack.com", "/api/chat.postMessage"},
	{teamsHook, "teams", "school.webhook.office.com", "/webhookb2/" + teamsID + "@" + teamsID + "/IncomingWebhook/33333333012222222222333333333344/" + teamsID},
	{"teams+" + teamsHook, "teams", "school.webhook.office.com", "/webhookb2/" + teamsID + "@" + teamsID + "/IncomingWebhook/33333333012222222222333333333344/" + teamsID},
	{"teams://" + teamsID + "@" + teamsID + "/33333333012222222222333333333344/" + teamsID + "/extra?host=school.webhook.office.com&title=Watch", "teams", "school.webhook.office.com",
		"/webhookb2/" + teamsID + "@" + teamsID + "/IncomingWebhook/33333333012222222222333333333344/" + teamsID + "/extra"},
	{teamsFlow, "teams", "prod-12.westus.logic.azure.com:443", "/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cret-signature"},
	{"teams+" + teamsFlow, "teams", "prod-12.westus.logic.azure.com:443", "/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s3cret-signature"},
	{teamsPlatform, "teams", "default0123456789.4d.environment.api.powerplatform.com:443", "/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sig=s3cret-signature"},
	{discordHook, "discord", "discord.com", "/api/webhooks/123456789012345678/token-token-token?wait=true"},
	{"https://discordapp.com/api/v10/webhooks/1/t?thread_id=7", "discord", "discordapp.com", "/api/v10/webhooks/1/t?thread_id=7&wait=true"},
	{"discord://token-token-token@123456789012345678?thread_id=%207&splitLines=No&color=0x112233&title=Watch&username=w", "discord", "discord.com", "/api/webhooks/123456789012345678/token-token-token?thread_id=7&wait=true"},
	{"telegram://" + telegramBot + "@telegram/?chats=@oncall&parseMode=HTML&preview=No", "telegram", "api.telegram.org", "/bot" + telegramBot + "/sendMessage"},
	{"telegram://" + telegramBot + "@telegram?channels=-100123:7&notification=no", "telegram", "api.telegram.org", "/bot" + telegramBot + "/sendMessage"},
	{"https://api.telegram.org/bot" + telegramBot + "/sendMessage?chat_id=-100123", "telegram", "api.telegram.org", "/bot" + telegramBot + "/sendMessage"},
	{"wecom://" + wecomKey + "?mentioned_list=a,b", "wecom", "qyapi.weixin.qq.com", "/cgi-bin/webhook/send?key=" + wecomKey},
	{"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=" + wecomKey, "wecom", "qyapi.weixin.qq.com", "/cgi-bin/webhook/send?key=" + wecomKey},
	{"dingtalk://acce55-t0ken", "dingtalk", "oapi.dingtalk.com", "/robot/send?access_token=acce55-t0ken"},
	{"dingtalk://acce55-t0ken@dingtalk", "dingtalk", "oapi.dingtalk.com", "/robot/send?access_token=acce55-t0ken"},
	{"https://oapi.dingtalk.com/robot/send?access_token=acce55-t0ken", "dingtalk", "oapi.dingtalk.com", "/robot/send?access_token=acce55-t0ken"},
	{"lark://open.larksuite.com/t0ken-t0ken?title=Watch", "lark", "open.larksuite.com", "/open-apis/bot/v2/hook/t0ken-t0ken"},
	{"feishu://open.feishu.cn/t0ken-t0ken", "lark", "open.feishu.cn", "/open-apis/bot/v2/hook/t0ken-t0ken"},
	{"https://open.feishu.cn/open-apis/bot/v2/hook/t0ken-t0ken", "lark", "open.feishu.cn", "/open-apis/bot/v2/hook/t0ken-t0ken"},
	{googleHook, "googlechat", "chat.googleapis.com", "/v1/spaces/AAAA/messages?key=k3y-k3y&token=t0ken-t0ken"},
	{strings.Replace(googleHook, "https:", "googlechat:", 1), "googlechat", "chat.googleapis.com", "/v1/spaces/AAAA/messages?key=k3y-k3y&token=t0ken-t0ken"},
	{strings.Replace(googleHook, "https:", "hangouts:", 1), "googlechat", "chat.googleapis.com", "/v1/spaces/AAAA/messages?key=k3y-k3y&token=t0ken-t0ken"},
}

// success is how a host answers that has taken a message.
func success(host string) (status int, body string) {
	host, _, _ = strings.Cut(host, ":")
	switch {
	case host == "slack.com":
		return 200, `{"ok":true,"channel":"C001122334","ts":"1.3"}`
	case host == "hooks.slack.com":
		return 200, "ok"
	case strings.HasSuffix(host, ".webhook.office.com"):
		return 200, "1"
	case strings.HasSuffix(host, ".logic.azure.com"), strings.HasSuffix(host, ".powerplatform.com"):
		return 202, ""
	case strings.HasPrefix(host, "discord"):
		return 200, `{"type":0,"content":"math","mentions":[],"flags":4,"id":"1199","channel_id":"7","webhook_id":"1"}`
	case host == "api.telegram.org":
		return 200, `{"ok":true,"result":{"message_id":7,"chat":{"id":-100123},"date":1796020983,"text":"math"}}`
	case host == "qyapi.weixin.qq.com", host == "oapi.dingtalk.com":
		return 200, `{"errcode":0,"errmsg":"ok"}`
	case host == "open.feishu.cn", host == "open.larksuite.com":
		return 200, `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`
	case host == "chat.googleapis.com":
		return 200, `{"name":"spaces/AAAA/messages/b.b","sender":{"type":"BOT"},"text":"math"}`
	}
	return 200, ""
}

// texts returns all the texts in a JSON value.
func texts(v any) string {
	switch v := v.(type) {
	case string:
		return v + "\n"
	case []any:
		var all strings.Builder
		for _, element := range v {
			all.WriteString(texts(element))
		}
		return all.String()
	case map[string]any:
		var all strings.Builder
		for _, key := range []string{"text", "content", "inlines", "body", "sections", "attachments"} {
			all.WriteString(texts(v[key]))
		}
		return all.String()
	}
	return ""
}

// Every form of every service's URL leads to that service's request, with the text.
func TestForms(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range forms {
		status, body := success(tt.host)
		w.answer(says(status, body))
		s := w.sender(t, tt.url)
		if got := s.Target(); got != tt.name {
			t.Errorf("Target() of %s = %q, want %q", tt.url, got, tt.name)
		}
		if got, err := s.Send(t.Context(), delivery()); got != status || err != nil {
			t.Errorf("Send to %s = %d, %v, want %d, nil", tt.url, got, err, status)
		}
		got := w.received()
		if len(got) != 1 || got[0].host != tt.host || got[0].path != tt.path {
			t.Errorf("requests for %s = %v, want one to %s%s", tt.url, got, tt.host, tt.path)
			continue
		}
		var posted any
		if err := json.Unmarshal([]byte(got[0].body), &posted); err != nil {
			t.Errorf("body for %s = %s: %v", tt.url, got[0].body, err)
		}
		p, err := s.destination()
		if err != nil {
			t.Fatal(err)
		}
		if want := english(t, delivery().Body, p.style()); !strings.Contains(texts(posted), want) {
			t.Errorf("body for %s has the text %q, want %q in it", tt.url, texts(posted), want)
		}
		if strings.Contains(tt.url, "title=Watch") != strings.Contains(got[0].body, "Watch") {
			t.Errorf("body for %s = %s, want its title", tt.url, got[0].body)
		}
	}
}

// The parameters of a URL go where the service takes them.
func TestParameters(t *testing.T) {
	for url, want := range map[string][]string{
		"slack://xoxb:123456789012-1234567890123-abcdefghijklmnopqrstuvwx@C001122334?color=good&thread_ts=1.2": {`"channel":"C001122334"`, `"thread_ts":"1.2"`, `"color":"good"`, `"mrkdwn":false`},
		"slack://hook:T0000AAAA-B0000BBBB-abcdefghijklmnopqrstuvwx@webhook?botname=w&icon=:eye:":               {`"username":"w"`, `"icon_emoji":":eye:"`, `"parse":"none"`},
		"discord://token@1?username=w&avatar=https://a.example/a.png":                                          {`"username":"w"`, `"avatar_url":"https://a.example/a.png"`, `"allowed_mentions":{"parse":[]}`},
		"telegram://" + telegramBot + "@telegram?channels=-100123:7&notification=no":                           {`"chat_id":"-100123"`, `"message_thread_id":7`, `"disable_notification":true`},
		"wecom://" + wecomKey + "?mentioned_list=a,b&mentioned_mobile_list=1":                                  {`"mentioned_list":["a","b"]`, `"mentioned_mobile_list":["1"]`, `"msgtype":"text"`},
		teamsFlow: {`"type":"AdaptiveCard"`, `"type":"TextRun"`, `"type":"message"`},
		teamsHook: {`"@type":"MessageCard"`, `"markdown":false`},
	} {
		w := newWorld(t, says(500, ""))
		w.sender(t, url).Send(t.Context(), delivery())
		for _, part := range want {
			if got := w.received(); len(got) != 1 || !strings.Contains(got[0].body, part) {
				t.Errorf("requests for %s = %v, want %s in one", url, got, part)
			}
		}
	}
	w := newWorld(t, says(500, ""))
	w.sender(t, "slack://xoxb:123456789012-1234567890123-abcdefghijklmnopqrstuvwx@C001122334").Send(t.Context(), delivery())
	if got := w.received()[0].header.Get("Authorization"); got != "Bearer xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx" {
		t.Errorf("Authorization = %q, want the token", got)
	}
}

// DingTalk and Lark check a signature, each of its own kind.
func TestSigned(t *testing.T) {
	sum := func(key, text string) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	near := func(at time.Time) bool { return time.Since(at).Abs() < time.Minute }
	for _, form := range []string{
		"dingtalk://acce55-t0ken?secret=SECs3cret", "dingtalk://SECs3cret@acce55-t0ken", "dingtalk://acce55-t0ken@dingtalk?secret=SECs3cret",
		"https://oapi.dingtalk.com/robot/send?access_token=acce55-t0ken&secret=SECs3cret",
	} {
		w := newWorld(t, says(200, `{"errcode":0,"errmsg":"ok"}`))
		if _, err := w.sender(t, form).Send(t.Context(), delivery()); err != nil {
			t.Errorf("Send to %s = %v, want nil", form, err)
		}
		u, err := url.Parse(w.received()[0].path)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		var at int64
		fmt.Sscan(query.Get("timestamp"), &at)
		if !near(time.UnixMilli(at)) || query.Get("sign") != sum("SECs3cret", query.Get("timestamp")+"\nSECs3cret") || query.Get("access_token") != "acce55-t0ken" || query.Has("secret") {
			t.Errorf("query for %s = %v, want it signed now, without the secret", form, query)
		}
	}
	for _, form := range []string{
		"lark://open.larksuite.com/t0ken-t0ken?secret=s3cret-s3cret", "https://open.feishu.cn/open-apis/bot/v2/hook/t0ken-t0ken?secret=s3cret-s3cret",
	} {
		w := newWorld(t, says(200, `{"code":0}`))
		if _, err := w.sender(t, form).Send(t.Context(), delivery()); err != nil {
			t.Errorf("Send to %s = %v, want nil", form, err)
		}
		var body struct{ Timestamp, Sign string }
		if err := json.Unmarshal([]byte(w.received()[0].body), &body); err != nil {
			t.Fatal(err)
		}
		var at int64
		fmt.Sscan(body.Timestamp, &at)
		if !near(time.Unix(at, 0)) || body.Sign != sum(body.Timestamp+"\ns3cret-s3cret", "") || strings.Contains(w.received()[0].path, "s3cret") {
			t.Errorf("body for %s = %+v, want it signed now", form, body)
		}
	}
}

// Answers as the services document them, and as public reports have them.
func TestVerdicts(t *testing.T) {
	const page = "<!DOCTYPE html><html><title>Just a moment</title>"
	lark, wecom := "lark://open.feishu.cn/t0ken-t0ken", "wecom://"+wecomKey
	telegram, slackUser := "telegram://"+telegramBot+"@telegram?chats=@oncall", "slack://xoxb:123456789012-1234567890123-abcdefghijklmnopqrstuvwx@C001122334"
	dingTalk := "dingtalk://acce55-t0ken"
	tests := []struct {
		url    string
		status int
		body   string
		header []string
		cause  string // "" for accepted
		final  bool
		wait   time.Duration
		reason string // in it
	}{
		{url: slackHook, status: 200, body: "ok\n"},
		{url: slackHook, status: 200, body: "", cause: "other", reason: "slack answered 200 OK"},
		{url: slackHook, status: 200, body: "invalid_token", cause: "4xx", final: true, reason: "slack answered 200 OK: invalid_token"},
		{url: slackHook, status: 200, body: page, cause: "other"},
		{url: slackHook, status: 204, cause: "other"},
		{url: slackHook, status: 400, body: "invalid_payload", cause: "4xx", final: true, reason: "invalid_payload"},
		{url: slackHook, status: 403, body: "action_prohibited", cause: "4xx", final: true},
		{url: slackHook, status: 403, body: page, cause: "4xx"},
		{url: slackHook, status: 404, body: "no_service", cause: "4xx", final: true, reason: "answered 404 Not Found: no_service"},
		{url: slackHook, status: 410, body: "channel_is_archived", cause: "410", final: true},
		{url: slackHook, status: 429, header: []string{"Retry-After", "30"}, body: "rate_limited", cause: "429", wait: 30 * time.Second}, // alertmanager#2128
		{url: slackHook, status: 500, body: "rollup_error", cause: "5xx"},
		{url: slackHook, status: 302, header: []string{"Location", "https://slack.com/"}, cause: "3xx", reason: "redirects are not followed"},
		{url: slackUser, status: 200, body: `{"ok":true,"ts":"1`},
		{url: slackUser, status: 200, body: `{"ok":false,"error":"channel_not_found"}`, cause: "4xx", final: true, reason: "channel_not_found"},
		{url: slackUser, status: 200, body: `{"ok":false,"error":"internal_error"}`, cause: "4xx", reason: "internal_error"},
		{url: slackUser, status: 200, body: `{"ok":false,"error":"token_revoked"}`, cause: "4xx", final: true},
		{url: slackUser, status: 429, header: []string{"Retry-After", "7"}, body: `{"ok":false,"error":"ratelimited"}`, cause: "429", wait: 7 * time.Second},
		{url: slackUser, status: 200, header: []string{"Retry-After", "7"}, body: `{"ok":false,"error":"ratelimited"}`, cause: "429", wait: 7 * time.Second},

		{url: teamsHook, status: 200, body: "1"},
		{url: teamsHook, status: 200, body: "", cause: "other"},
		// msteams-docs#7425, pymsteams#146
		{url: teamsHook, status: 200, body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0,server=DB3PEPF000000A8,cv=x.",
			cause: "429", reason: "teams answered 200 OK: Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"},
		{url: teamsHook, status: 200, body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 404 with ContextId x.", cause: "4xx", final: true},
		{url: teamsHook, status: 200, body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 502 with ContextId x.", cause: "5xx"},
		{url: teamsHook, status: 200, body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 412 with ContextId x.", cause: "4xx"},
		{url: teamsHook, status: 400, body: "Summary or Text is required.", cause: "4xx", final: true},
		{url: teamsHook, status: 410, body: "Connector configuration not found", cause: "410", final: true},
		{url: teamsHook, status: 429, cause: "429"},
		{url: teamsFlow, status: 202},
		{url: teamsFlow, status: 200},
		{url: teamsFlow, status: 200, body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x.", cause: "429"},
		{url: teamsFlow, status: 200, body: `{"error":{"code":"WorkflowRunFailed","message":"the run failed"}}`, cause: "4xx", reason: "WorkflowRunFailed: the run failed"},
		{url: teamsFlow, status: 200, body: page, cause: "other"},
		{url: teamsFlow, status: 404, body: `{"error":{"code":"WorkflowNotFound","message":"The workflow '0123456789abcdef' could not be found."}}`, cause: "4xx", final: true,
			reason: "WorkflowNotFound: The workflow '***' could not be found."},
		{url: teamsFlow, status: 401, body: `{"error":{"code":"DirectApiAuthorizationRequired","message":"The request must be authenticated only by Shared Access scheme."}}`, cause: "4xx", final: true},
		{url: teamsFlow, status: 429, header: []string{"Retry-After", "60"}, body: `{"error":{"code":"WorkflowRequestThrottled"}}`, cause: "429", wait: time.Minute},

		{url: discordHook, status: 204},
		{url: discordHook, status: 200, body: `{"type":0,"content":"math","i`},
		{url: discordHook, status: 200, body: `{"message":"Missing Permissions","code":50013}`, cause: "4xx", final: true, reason: "50013 Missing Permissions"},
		{url: discordHook, status: 200, body: "", cause: "other"},
		{url: discordHook, status: 404, body: `{"message":"Unknown Webhook","code":10015}`, cause: "4xx", final: true, reason: "10015 Unknown Webhook"},
		{url: discordHook, status: 403, body: page, cause: "4xx"},
		{url: discordHook, status: 429, header: []string{"Retry-After", "20"}, body: `{"message":"You are being rate limited.","retry_after":19.7,"global":false}`, cause: "429", wait: 20 * time.Second}, // discord-api-docs#533
		{url: discordHook, status: 429, body: `{"message":"You are being rate limited.","retry_after":64.57,"global":false}`, cause: "429", wait: 64570 * time.Millisecond},
		{url: discordHook, status: 429, header: []string{"X-RateLimit-Reset-After", "3.5"}, cause: "429", wait: 3500 * time.Millisecond},
		{url: discordHook, status: 429, body: `{"retry_after":1e300}`, cause: "429", wait: notify.MaxPause},
		{url: discordHook, status: 429, body: `{"retry_after":-5}`, cause: "429"},

		{url: telegram, status: 200, body: `{"ok":true,"result":{"text":"` + strings.Repeat("x", 20<<10)},
		{url: telegram, status: 200, body: `{"ok":false}`, cause: "other"},
		{url: telegram, status: 200, body: page, cause: "other"},
		{url: telegram, status: 400, body: `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, cause: "4xx", final: true, reason: "telegram answered 400 Bad Request: Bad Request: chat not found"}, // MikaLendingBot#318
		{url: telegram, status: 403, body: `{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked from the group chat"}`, cause: "4xx", final: true},
		{url: telegram, status: 401, body: `{"ok":false,"error_code":401,"description":"Unauthorized"}`, cause: "4xx", final: true},
		{url: telegram, status: 429, body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 37","parameters":{"retry_after":37}}`, cause: "429", wait: 37 * time.Second}, // uptime-kuma#6242
		{url: telegram, status: 200, body: `{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":37}}`, cause: "429", wait: 37 * time.Second},
		{url: telegram, status: 502, body: page, cause: "5xx"},
		{url: telegram, status: 404, body: page, cause: "4xx"},

		{url: wecom, status: 200, body: `{"errcode":0,"errmsg":"ok"}`},
		{url: wecom, status: 200, body: `{"errcode":"0","errmsg":"ok"}`},
		{url: wecom, status: 200, body: `{"errmsg":"ok"}`, cause: "other"},
		{url: wecom, status: 200, body: `{"errcode":45009,"errmsg":"api freq out of limit"}`, cause: "429", wait: time.Minute},
		{url: wecom, status: 200, body: `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1]"}`, cause: "4xx", final: true, reason: "93000 invalid webhook url"},
		{url: wecom, status: 200, body: `{"errcode":-1,"errmsg":"system busy"}`, cause: "4xx", reason: "-1 system busy"},
		{url: wecom, status: 200, header: []string{"Retry-After", "90"}, body: `{"errcode":45009,"errmsg":"x"}`, cause: "429", wait: 90 * time.Second},

		{url: dingTalk, status: 200, body: `{"errcode":0,"errmsg":"ok"}`},
		{url: dingTalk, status: 200, body: `{"errcode":310000,"errmsg":"keywords not in content, more: [https://ding-doc.dingtalk.com]"}`, cause: "4xx", final: true, reason: "310000 keywords not in content"},
		{url: dingTalk, status: 200, body: `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`, cause: "429", wait: 10 * time.Minute},
		{url: dingTalk, status: 200, body: `{"errcode":300001,"errmsg":"token is not exist"}`, cause: "4xx", final: true},
		{url: dingTalk, status: 200, body: `{"errcode":-1,"errmsg":"系统繁忙"}`, cause: "4xx"},

		{url: lark, status: 200, body: `{"StatusCode":0,"StatusMessage":"success"}`},
		{url: lark, status: 200, body: `{"code":0,"msg":"success"}`},
		{url: lark, status: 200, body: `{"code":19021,"data":{},"msg":"sign match fail or timestamp is not within one hour from current time"}`, cause: "4xx", final: true, reason: "19021 sign match fail"}, // PrometheusAlert#422
		{url: lark, status: 200, body: `{"code":9499,"msg":"too many request","data":{}}`, cause: "429"},
		{url: lark, status: 400, body: `{"code":9499,"msg":"Bad Request","data":{}}`, cause: "4xx", final: true},
		{url: lark, status: 429, header: []string{"x-ogw-ratelimit-reset", "45"}, body: `{"code":99991400,"msg":"request trigger frequency limit"}`, cause: "429", wait: 45 * time.Second},
		{url: lark, status: 429, header: []string{"x-ogw-ratelimit-reset", "45"}, cause: "429", wait: 45 * time.Second},

		{url: googleHook, status: 200, body: `{"name":"spaces/AAAA/messages/b"}`},
		{url: googleHook, status: 200, body: `{"name":"spaces/AA`},
		{url: googleHook, status: 200, body: `{"error":{"code":404,"message":"Space not found.","status":"NOT_FOUND"}}`, cause: "4xx", final: true, reason: "NOT_FOUND Space not found."},
		{url: googleHook, status: 200, body: `{"error":{"code":4`, cause: "4xx"},
		{url: googleHook, status: 403, body: `{"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}}`, cause: "4xx", final: true},
		{url: googleHook, status: 429, body: `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12.5s"}]}}`,
			cause: "429", wait: 12500 * time.Millisecond},
		{url: googleHook, status: 503, body: `{"error":{"code":503,"status":"UNAVAILABLE"}}`, header: []string{"Retry-After", "9"}, cause: "5xx", wait: 9 * time.Second},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		name := fmt.Sprintf("%s that answers %d %v %s", short(tt.url), tt.status, tt.header, short(tt.body))
		w.answer(says(tt.status, tt.body, tt.header...))
		before := time.Now()
		status, err := w.sender(t, tt.url).Send(t.Context(), delivery())
		after := time.Now()
		if got := len(w.received()); got != 1 || status != tt.status {
			t.Errorf("Send to %s: status %d, %d requests, want %d, 1", name, status, got, tt.status)
		}
		if tt.cause == "" {
			if err != nil {
				t.Errorf("Send to %s = %v, want it delivered", name, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("Send to %s = nil, want a refusal", name)
			continue
		}
		got := sendError(t, err)
		if got.Cause.String() != tt.cause || got.Final != tt.final || got.Gone || !strings.Contains(got.Reason, tt.reason) {
			t.Errorf("Send to %s = %+v, want %s, final %t, %q", name, got, tt.cause, tt.final, tt.reason)
		}
		if tt.wait == 0 && !got.RetryAfter.IsZero() || tt.wait > 0 && (got.RetryAfter.Before(before.Add(tt.wait)) || got.RetryAfter.After(after.Add(tt.wait))) {
			t.Errorf("Send to %s wants to wait until %s, want %s from %s", name, got.RetryAfter, tt.wait, before)
		}
	}
}
