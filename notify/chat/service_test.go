package chat

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher/setting"
)

// secrets are URLs of all services, with SECRET in place of whatever guards them.
var secrets = []string{
	"bark://:SECRET@HOST/?scheme=http",
	"discord://SECRET@SECRETID",
	"generic://user:SECRET@HOST/SECRET?disabletls=yes&@authorization=SECRET&key=SECRET",
	"generic+http://HOST/SECRET?key=SECRET",
	"gotify://HOST/ASECRETSECRETa?disabletls=yes",
	"googlechat://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=SECRET",
	"hangouts://chat.googleapis.com/v1/spaces/SECRET/messages?key=SECRET&token=SECRET",
	"ifttt://SECRET/?events=SECRET",
	"join://Token:SECRET@join?devices=SECRET",
	"lark://open.larksuite.com/SECRET?secret=SECRET",
	"matrix://user:SECRET@HOST/?disableTLS=yes",
	"mattermost://SECRET@HOST/SECRET?disabletls=yes",
	"notifiarr://SECRET",
	"ntfy://user:SECRET@HOST/SECRET?scheme=http",
	"opsgenie://api.opsgenie.com/SECRET",
	"pagerduty://events.pagerduty.com/0123456789SECRET0123456789SECRET",
	"pushbullet://oSECRETSECRETSECRETSECRETSECRET234",
	"pushover://:SECRET@SECRETUSER",
	"rocketchat://SECRET@HOST/SECRET/SECRETTOKEN",
	"signal://user:SECRET@HOST/+1234567890/+0987654321?disabletls=yes",
	"slack://SECRET123/SECRET123/SECRET12SECRET12SECRET12",
	"slack://hook:SECRET123-SECRET123-SECRET12SECRET12SECRET12@webhook",
	"smtp://user:SECRET@MAIL/?fromAddress=a@example.com&toAddresses=b@example.com&useStartTLS=no&encryption=none&auth=plain",
	"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/SECRET?host=x.webhook.office.com",
	"telegram://123456789:SECRETSECRETSECRETSECRETSECRETSECRET1@telegram/?chats=@SECRET",
	"wecom://SECRET00-7aoc-4bc4-97a0-0ec2sifa5aaa",
	"zulip://bot%40zulip.com:SECRET@example.zulipchat.com?stream=SECRET",
}

// TestNoSecretLeaks has every service fail at whatever it does: in a connection
// that is refused, at a proxy, and at a server that sends back what it gets.
func TestNoSecretLeaks(t *testing.T) {
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "%s %v", r.RequestURI, r.Header)
	})
	const hidden = "DEB06D"
	unseen := map[string]bool{}
	for _, name := range services() {
		unseen[name] = true
	}
	for _, pattern := range secrets {
		for _, host := range []string{echo, closed(t)} {
			text := strings.NewReplacer("SECRET", hidden, "HOST", host, "MAIL", closed(t)).Replace(pattern)
			s, err := New(Config{Name: "oncall", URL: setting.Plain(text)})
			if err != nil {
				t.Errorf("New(%s) = %v, want a sender", pattern, err)
				continue
			}
			name, _, _ := strings.Cut(pattern, ":")
			name, _, _ = strings.Cut(name, "+")
			delete(unseen, name)
			if got := s.Target(); got != name {
				t.Errorf("Target() of %s = %q, want %q", pattern, got, name)
			}
			_, err = s.Send(t.Context(), delivery())
			failed := sendError(t, err)
			if shown := fmt.Sprintf("%v %+v %#v", err, *failed, failed); strings.Contains(strings.ToUpper(shown), hidden) || failed.Err != nil {
				t.Errorf("Send to %s = %s, want nothing of the URL in it", pattern, shown)
			}
		}
	}
	if len(unseen) > 0 {
		t.Errorf("services without a URL here: %v", unseen)
	}
}

func TestValidate(t *testing.T) {
	const hidden = "hu5h-hu5h"
	tests := []struct {
		url  string
		want string // in the only fault; "" for none
	}{
		{"slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook", ""},
		{"slack+https://hooks.slack.com/services/AAAAAAAAA/BBBBBBBBB/123456789123456789123456", "not a URL of slack"},
		{"generic+https://hooks.example/" + hidden, ""},
		{"NTFY://ntfy.sh/" + hidden, ""},
		{"https://hooks.example/" + hidden, "not a service URL"},
		{"logger://" + hidden, "not a service URL"},
		{hidden + "://x", "not a service URL"},
		{hidden, "not a service URL"},
		{"slack://" + hidden + "%zz", "not a service URL"},
		{"slack://" + hidden, "not a URL of slack"},
		{"telegram://" + hidden + "@telegram", "not a URL of telegram"},
		{"matrix://user:" + hidden + "@/?disableTLS=" + hidden, "not a URL of matrix"},
		{"ntfy+https://ntfy.sh/" + hidden, "not a URL of ntfy"},
		{"discord+https://discord.example/" + hidden, "not a URL of discord"},
		{"teams+https://teams.example/" + hidden, "not a URL of teams"},
		{"smtp://user:" + hidden + "@mail.example/?fromAddress=a", "not a URL of smtp"},
		{"wecom://", "not a URL of wecom"},
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
	for c, want := range map[Config]string{
		{}:                           "url: read secret: none is set",
		{URL: setting.File(missing)}: "url: read secret: ",
		{URL: setting.Plain("generic://x"), Timeout: -time.Second}: `timeout = "-1s": want more than zero`,
	} {
		faults := c.Validate()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), want) {
			t.Errorf("Validate() = %v, want %q", faults, want)
		}
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() = %v, want %q", err, want)
		}
	}
}

func TestContain(t *testing.T) {
	if err := contain(func() error { panic("token hu5h") }); err == nil || strings.Contains(err.Error(), "hu5h") {
		t.Errorf("contain(a panic) = %v, want an error without its value", err)
	}
}

// FuzzReadURL: no URL brings the process down or shows in an error.
func FuzzReadURL(f *testing.F) {
	for _, pattern := range secrets {
		f.Add(strings.NewReplacer("SECRET", "hu5hhu", "HOST", "127.0.0.1:9").Replace(pattern))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := readURL(setting.Plain(text + "hu5hhu")); err != nil && strings.Contains(err.Error(), "hu5hhu") {
			t.Errorf("readURL(%q) = %v, want nothing of the URL", text, err)
		}
	})
}
