package chat

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pushwatch/watcher/setting"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"discord://token@id":                               "discord.com:443",
		"generic://hooks.example/a":                        "hooks.example:443",
		"generic://hooks.example/a?disabletls=yes":         "hooks.example:80",
		"generic+https://hooks.example/a":                  "hooks.example:443",
		"generic+http://hooks.example:8081/a":              "hooks.example:8081",
		"lark://open.feishu.cn/token":                      "open.feishu.cn:443",
		"matrix://user:pw@matrix.example/?disableTLS=yes":  "matrix.example:80",
		"ntfy://ntfy.example/topic?scheme=http":            "ntfy.example:80",
		"signal://user:pw@signal.example/+1/+2":            "signal.example:8080",
		"slack://hook:A-B-C@webhook":                       "slack.com:443",
		"slack+https://hooks.slack.com/services/A/B/C":     "hooks.slack.com:443",
		"smtp://user:pw@mail.example/?fromAddress=a@b":     "mail.example:25",
		"smtp://user:pw@mail.example:587/?fromAddress=a@b": "mail.example:587",
		"teams://a@b/c/d/e?host=school.webhook.office.com": "school.webhook.office.com:443",
		"telegram://token@telegram/?chats=@a":              "api.telegram.org:443",
		"wecom://key":                                      "qyapi.weixin.qq.com:443",
		"teams://a@b/c/d/e":                                "",
		"someday://secret":                                 "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := addressOf(u); got != want {
			t.Errorf("addressOf(%s) = %q, want %q", text, got, want)
		}
	}
}

// TestCheck reaches for every service. Those that are not on this machine have the
// proxy of TestMain before them.
func TestCheck(t *testing.T) {
	const hidden = "DEB06D"
	listening, free := serve(t, http.NotFound), closed(t)
	check := func(pattern, host string) error {
		text := strings.NewReplacer("SECRET", hidden, "HOST", host, "MAIL", host).Replace(pattern)
		return sender(t, Config{Name: "oncall", URL: setting.Plain(text)}).Check(t.Context())
	}
	for _, pattern := range secrets {
		if err := check(pattern, listening); err != nil {
			t.Errorf("Check() of %s = %v, want nil", pattern, err)
		}
		if !strings.Contains(pattern, "HOST") && !strings.Contains(pattern, "MAIL") {
			continue
		}
		err := check(pattern, free)
		if err == nil || !strings.HasSuffix(err.Error(), ": no connection") || strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), free) {
			t.Errorf("Check() of %s where nobody listens = %v, want that there is no connection, and nothing of the URL", pattern, err)
		}
	}
}
