package chat

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tcptest"
)

// secrets are URLs of all services, with SECRET in place of whatever guards them.
var secrets = []string{
	"bark://:SECRET@HOST/?scheme=http",
	"dingtalk://SECRET?secret=SECRET",
	"discord://SECRET@SECRETID",
	"generic://user:SECRET@HOST/SECRET?disabletls=yes&@authorization=SECRET&key=SECRET",
	"generic+http://HOST/SECRET?key=SECRET",
	"gotify://HOST/ASECRETSECRET0a?disabletls=yes",
	"googlechat://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=SECRET",
	"hangouts://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=SECRET",
	"https://oapi.dingtalk.com/robot/send?access_token=SECRET&secret=SECRET",
	"https://open.feishu.cn/open-apis/bot/v2/hook/SECRET?secret=SECRET",
	"https://prod-12.westus.logic.azure.com:443/workflows/SECRET/triggers/manual/paths/invoke?sig=SECRET",
	"https://hooks.slack.com/services/SECRET/SECRET/SECRET",
	"ifttt://SECRET/?events=SECRET",
	"join://Token:SECRET@join?devices=SECRET",
	"lark://open.larksuite.com/SECRET?secret=SECRET",
	"matrix://user:SECRET@HOST/?disableTLS=yes&rooms=SECRET",
	"mattermost://SECRET@HOST/SECRET?disabletls=yes",
	"notifiarr://SECRET",
	"ntfy://user:SECRET@HOST/SECRET?scheme=http",
	"opsgenie://api.opsgenie.com/SECRET",
	"pagerduty://events.pagerduty.com/0123456789SECRET0123456789SECRET",
	"pushbullet://oSECRETSECRETSECRETSECRETSECRET234",
	"pushover://:SECRET@SECRETUSER",
	"rocketchat://SECRET@rocket.example/SECRET/SECRETTOKEN",
	"signal://user:SECRET@HOST/+1234567890/+0987654321?disabletls=yes",
	"slack://SECRET123/SECRET123/SECRET12SECRET12SECRET12",
	"slack://hook:SECRET123-SECRET123-SECRET12SECRET12SECRET12@webhook",
	"slack://xoxb:SECRET123-SECRET123-SECRET12SECRET12SECRET12@SECRET123",
	"smtp://user:SECRET@MAIL/?fromAddress=a@example.com&toAddresses=b@example.com&useStartTLS=no&encryption=none&auth=plain",
	"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/SECRET?host=x.webhook.office.com",
	"telegram://123456789:SECRETSECRETSECRETSECRETSECRETSECRET1@telegram/?chats=@SECRET",
	"wecom://SECRET00-7aoc-4bc4-97a0-0ec2sifa5aaa",
	"zulip://bot%40zulip.com:SECRET@example.zulipchat.com?stream=SECRET",
}

// configOf returns the settings for one of the secrets' patterns. Services that are not
// at host are behind the proxy.
func configOf(pattern, hidden, host, proxy, caFile string) Config {
	text := strings.NewReplacer("SECRET", hidden, "HOST", host, "MAIL", host).Replace(pattern)
	c := Config{Name: "oncall", URL: setting.Plain(text), Config: transport.Config{AllowCIDRs: loopback, CAFile: caFile, Timeout: hang}}
	if !strings.Contains(pattern, "HOST") && !strings.Contains(pattern, "MAIL") {
		c.ProxyURL = setting.Plain(proxy)
	}
	return c
}

// TestNoSecretLeaks has every service fail at whatever it does: in a connection or at a
// proxy that is refused, and at a server that sends back what it gets.
func TestNoSecretLeaks(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"errcode":1,"code":1,"ok":false,"error_code":403,"message":%[1]q,"errmsg":%[1]q,"msg":%[1]q,"description":%[1]q,"error":{"code":403,"message":%[1]q}}`,
			fmt.Sprintf("%s %v %s", r.RequestURI, r.Header, body))
	}
	var w *world
	w = newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		got := w.received()
		r.Body = io.NopCloser(strings.NewReader(got[len(got)-1].body))
		echo(rw, r)
	})
	direct := serve(t, echo)
	const hidden = "DEB06D"
	unseen := map[string]bool{}
	for _, name := range serviceNames() {
		unseen[name] = name != "feishu" && name != "hangouts" // which are other names of those
	}
	for _, pattern := range secrets {
		for _, c := range []Config{
			configOf(pattern, hidden, direct, w.proxy, w.caFile), configOf(pattern, hidden, tcptest.Unused(t), "http://"+tcptest.Unused(t), w.caFile),
		} {
			if strings.HasPrefix(pattern, "smtp:") {
				c.Timeout = 200 * time.Millisecond // a web server waits for the mail's first word, and the mail for the server's
			}
			s, err := New(c)
			if err != nil {
				t.Errorf("New(%s) = %v, want a sender", pattern, err)
				continue
			}
			name := s.Target()
			delete(unseen, name)
			if want, _, _ := strings.Cut(pattern, ":"); name != want && !strings.Contains(want, "+") && want != "https" && want != "hangouts" {
				t.Errorf("Target() of %s = %q, want %q", pattern, name, want)
			}
			_, err = s.Send(t.Context(), delivery())
			failed := sendError(t, err)
			if shown := fmt.Sprintf("%v %+v %#v", err, *failed, failed); strings.Contains(strings.ToUpper(shown), hidden) || failed.Err != nil {
				t.Errorf("Send to %s = %s, want nothing of the URL in it", pattern, shown)
			}
		}
	}
	for name, left := range unseen {
		if left {
			t.Errorf("service %s without a URL here", name)
		}
	}
}

func TestValidate(t *testing.T) {
	const hidden = "hu5h-hu5h"
	tests := []struct {
		url  string
		want string // in the only fault; "" for none
	}{
		{"slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook", ""},
		{"slack+https://hooks.slack.com/services/AAAAAAAAA/BBBBBBBBB/123456789123456789123456", ""},
		{"generic+https://hooks.example/" + hidden, ""},
		{"NTFY://ntfy.sh/" + hidden, ""},
		{"https://hooks.example/" + hidden, "not a service URL"},
		{"http://hooks.slack.com/services/A/B/" + hidden, "not a service URL"},
		{"https://hooks.slack.com/triggers/A/B/" + hidden, "not a service URL"},
		{"https://hooks.slack.com.evil.example/services/A/B/" + hidden, "not a service URL"},
		{"https://discord.com/api/webhooks/1/" + hidden + "/slack", "not a service URL"},
		{"https://evil.example/workflows/" + hidden, "not a service URL"},
		{"logger://" + hidden, "not a service URL"},
		{hidden + "://x", "not a service URL"},
		{hidden, "not a service URL"},
		{"slack://" + hidden + "%zz", "not a service URL"},
		{"slack://" + hidden, "not a URL of slack"},
		{"slack+http://hooks.slack.com/services/A/B/" + hidden, "not a URL of slack"},
		{"telegram://" + hidden + "@telegram", "not a URL of telegram"},
		{"telegram://123456789:abc@telegram?chats=@a&" + hidden + "=1", "not a URL of telegram"},
		{"matrix://user:" + hidden + "@/?disableTLS=" + hidden, "not a URL of matrix"},
		{"ntfy+https://ntfy.sh/" + hidden, "not a URL of ntfy"},
		{"discord+https://discord.example/" + hidden, "not a URL of discord"},
		{"discord://" + hidden + "@1/raw", "not a URL of discord"},
		{"teams+https://teams.example/" + hidden, "not a URL of teams"},
		{"teams://a@b/c/d/" + hidden + "?host=x.webhook.office.com", "not a URL of teams"},
		{"smtp://user:" + hidden + "@mail.example/?fromAddress=a", "not a URL of smtp"},
		{"smtp://user:" + hidden + "@mail.example/?fromAddress=a@b.example&to=c@d.example&auth=" + hidden, "not a URL of smtp"},
		{"wecom://", "not a URL of wecom"},
		{"dingtalk://", "not a URL of dingtalk"},
		{"lark://lark.example/" + hidden, "not a URL of lark"},

		// One recipient, whatever the service.
		{"telegram://123456789:abc@telegram?chats=@a," + hidden, "a URL of telegram: it names several recipients"},
		{"telegram://123456789:abc@telegram?chats=@a&channels=" + hidden, "a URL of telegram: it names several recipients"},
		{"smtp://mail.example/?from=a@example.com&to=b@example.com," + hidden + "@example.com", "a URL of smtp: it names several recipients"},
		{"smtp://mail.example/?from=a@example.com&to=b@example.com&to=" + hidden + "@example.com", "a URL of smtp: it names several recipients"},
		{"matrix://user:" + hidden + "@matrix.example/", "a URL of matrix: it names several recipients"},
		{"matrix://user:" + hidden + "@matrix.example/?rooms=a,b", "a URL of matrix: it names several recipients"},
		{"ifttt://" + hidden + "/?events=a,b", "a URL of ifttt: it names several recipients"},
		{"join://Token:" + hidden + "@join?devices=a,b", "a URL of join: it names several recipients"},
		{"pushover://:" + hidden + "@user?devices=a,b", "a URL of pushover: it names several recipients"},
		{"pushbullet://o123456789012345678901234567890234/a/b", "a URL of pushbullet: it names several recipients"},
		{"signal://user:" + hidden + "@signal.example/+1234567890/+0987654321/+1234567891", "a URL of signal: it names several recipients"},
	}
	for _, tt := range tests {
		faults := Config{URL: setting.Plain(tt.url)}.Validate()
		switch {
		case tt.want == "" && len(faults) > 0:
			t.Errorf("Validate(%s) = %v, want no fault", tt.url, faults)
		case tt.want == "":
		case len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "url: in the settings: "+tt.want) || strings.Contains(faults[0].Error(), hidden):
			t.Errorf("Validate(%s) = %v, want one, url: %q, without the secret", tt.url, faults, tt.want)
		}
	}
}

func TestValidateRest(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{}, "url: read secret: none is set"},
		{Config{URL: setting.File(missing)}, "url: read secret: "},
		{Config{URL: setting.Plain("generic://x"), Config: transport.Config{Timeout: -time.Second}}, `timeout = "-1s": want more than zero`},
		{Config{URL: setting.Plain("generic://x"), Config: transport.Config{CAFile: missing}}, "ca_file: open "},
		{Config{URL: setting.Plain("generic://x"), Config: transport.Config{ProxyURL: setting.Plain("socks5://x")}}, "proxy_url: "},
		{Config{URL: setting.Plain("generic://x"), Language: "de"}, `language = "de": want one of ["en" "zh-CN"]`},
	} {
		faults := tt.config.Validate()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), tt.want) {
			t.Errorf("Validate() = %v, want %q", faults, tt.want)
		}
		if _, err := New(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New() = %v, want %q", err, tt.want)
		}
	}
}

// FuzzReadURL: no URL brings the process down or shows in an error.
func FuzzReadURL(f *testing.F) {
	for _, pattern := range secrets {
		f.Add(strings.NewReplacer("SECRET", "hu5hhu", "HOST", "127.0.0.1:9", "MAIL", "127.0.0.1:9").Replace(pattern))
	}
	for _, form := range forms {
		f.Add(form.url)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := readURL(setting.Plain(text + "hu5hhu")); err != nil && strings.Contains(err.Error(), "hu5hhu") {
			t.Errorf("readURL(%q) = %v, want nothing of the URL", text, err)
		}
	})
}

// FuzzAnswer: no answer brings the process down, and an answer that is cut somewhere is
// no success that the whole is not.
func FuzzAnswer(f *testing.F) {
	for _, form := range forms {
		_, body := success(form.host)
		f.Add(200, body)
	}
	f.Add(200, `{"ok":false,"error":{"code":429,"details":[{"retryDelay":"12s"}]},"errcode":"1","parameters":{"retry_after":1e999}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		for _, s := range services {
			whole := s.judge(&transport.Answer{Status: status, Header: http.Header{}, Body: []byte(body)})
			if whole.accepted && (status < 200 || status > 299 || whole.final || whole.wait > 0) {
				t.Errorf("%s: judge(%d %q) = %+v, want no success", s.names[0], status, body, whole)
			}
			if whole.wait < 0 {
				t.Errorf("%s: judge(%d %q) wants to wait %s", s.names[0], status, body, whole.wait)
			}
		}
	})
}
