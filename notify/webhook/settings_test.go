package webhook_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pushwatch/notify/signing"
	"pushwatch/notify/transport"
	"pushwatch/notify/webhook"
	"pushwatch/watcher/setting"
)

func TestValidate(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	text := write(t, "text", "not a certificate")
	url := func(url string) func(*webhook.Config) {
		return func(c *webhook.Config) { c.URL = setting.Plain(url) }
	}
	header := func(name, value string) func(*webhook.Config) {
		return func(c *webhook.Config) { c.Headers = map[string]setting.Secret{name: setting.Plain(value)} }
	}
	tests := []struct {
		name   string
		change func(*webhook.Config)
		want   string // at the start of the one fault, up to " … " which stands for anything; "" for none
	}{
		{"as it is", func(*webhook.Config) {}, ""},
		{"http", url("http://classroom.example"), ""},
		{"IPv6", url("https://[2606:4700::1111]:8443/x"), ""},
		{"no URL", url(""), "url: read secret: none is set"},
		{"URL in a missing file", func(c *webhook.Config) { c.URL = setting.File(none) }, "url: read secret: open " + none},
		{"unparsable URL", url("https://u:HUSH@h/%zzHUSH"), "url: in the settings: not a URL"},
		{"port of URL in words", url("https://u:HUSH@h:HUSH/"), "url: in the settings: not a URL"},
		{"port of URL too large", url("https://u:HUSH@h:65536/HUSH?HUSH"), "url: in the settings: https://h:65536: want a port"},
		{"another scheme", url("ftp://u:HUSH@h/HUSH"), `url: in the settings: want "https://"`},
		{"no scheme", url("classroom.example/HUSH"), `url: in the settings: want "https://"`},
		{"no host", url("https:///HUSH"), `url: in the settings: want "https://"`},
		{"host not in ASCII", url("https://schüler.example/HUSH"), "url: in the settings: https://schüler.example: want the host in ASCII"},
		{"proxy", func(c *webhook.Config) { c.ProxyURL = setting.Plain("socks5://u:HUSH@h") }, `proxy_url: in the settings: want "https://"`},

		{"no secrets", func(c *webhook.Config) { c.Secrets = nil }, "secrets: 0 are set: want 1 to 16"},
		{"too many secrets", func(c *webhook.Config) {
			c.Secrets = slices.Repeat(c.Secrets, signing.MaxKeys+1)
		}, "secrets: 17 are set: want 1 to 16"},
		{"short secret", func(c *webhook.Config) { c.Secrets = append(c.Secrets, setting.Plain("whsec_HUSH")) }, "secrets[1]: in the settings: … 24 to 64"},
		{"secret in a missing file", func(c *webhook.Config) { c.Secrets[0] = setting.File(none) }, "secrets[0]: read secret: open " + none},

		{"content type", func(c *webhook.Config) { c.ContentType = "application/json; charset=utf-8" },
			`content_type = "application/json; charset=utf-8": want one of ["application/json" "application/cloudevents+json"]`},
		{"timeout", func(c *webhook.Config) { c.Timeout = -1 }, `timeout = "-1ns": want more than zero`},
		{"max_in_flight", func(c *webhook.Config) { c.MaxInFlight = -1 }, "max_in_flight = -1: want at least 1"},
		{"range", func(c *webhook.Config) { c.AllowCIDRs = []netip.Prefix{{}} }, "allow_cidrs: "},
		{"mapped range", func(c *webhook.Config) {
			c.AllowCIDRs = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}
		}, `allow_cidrs: "::ffff:10.0.0.0/104": want`},
		{"final 204", func(c *webhook.Config) { c.FinalStatus = []int{422, 204} }, "final_status: 204: want"},
		{"final 410", func(c *webhook.Config) { c.FinalStatus = []int{410} }, "final_status: 410: want"},
		{"no CA file", func(c *webhook.Config) { c.CAFile = none }, "ca_file: open " + none},
		{"CA file without certificates", func(c *webhook.Config) { c.CAFile = text }, "ca_file = … no certificate in it"},
		{"certificate without its key", func(c *webhook.Config) { c.ClientCertFile = text }, "client_cert_file and client_key_file: only one"},
		{"bad certificate", func(c *webhook.Config) { c.ClientCertFile, c.ClientKeyFile = text, text }, "client_cert_file, client_key_file: tls: "},

		{"header", header("Authorization", "Bearer HUSH\tHUSH"), ""},
		{"name of header", header("x tenant", "HUSH"), `headers: "x tenant" is not the name`},
		{"no name of header", header("", "HUSH"), `headers: "" is not the name`},
		{"name of header not in ASCII", header("x-größe", "HUSH"), `headers: "x-größe" is not the name`},
		{"value of header", header("x-a", "HUSH\r\nHUSH: HUSH"), `headers: the value of "x-a" has control characters`},
		{"header's file", func(c *webhook.Config) { c.Headers = map[string]setting.Secret{"x-a": setting.File("/none")} }, `headers: the value of "x-a": read secret: open /none`},
		{"header twice", func(c *webhook.Config) {
			c.Headers = map[string]setting.Secret{"x-a": setting.Plain("HUSH"), "X-A": setting.Plain("HUSH")}
		}, `headers: "X-A" is set twice`},
	}
	for _, name := range []string{"Host", "content-type", "Content-Encoding", "Connection", "te", "Transfer-Encoding", "Upgrade",
		"proxy-authorization", "User-Agent", "Webhook-Signature", "webhook-id", "ce-type", "Expect", "Idempotency-Key"} {
		tests = append(tests, struct {
			name   string
			change func(*webhook.Config)
			want   string
		}{"header " + name, header(name, "HUSH"), `headers: … is set by pushwatch or by HTTP itself`})
	}
	for _, tt := range tests {
		c := config("https://classroom.example/hooks")
		tt.change(&c)
		faults := c.Validate()
		s, err := webhook.New(c)
		if tt.want == "" {
			if len(faults) != 0 || err != nil {
				t.Errorf("Validate(%s) = %v, New = %v, want no fault", tt.name, faults, err)
			}
			continue
		}
		start, end, _ := strings.Cut(tt.want, "…")
		if text := errors.Join(faults...); len(faults) != 1 || !strings.HasPrefix(text.Error(), start) || !strings.Contains(text.Error(), end) ||
			strings.Contains(text.Error(), "HUSH") {
			t.Errorf("Validate(%s) = %v, want one fault: %s", tt.name, faults, tt.want)
		}
		if s != nil || err == nil || !strings.HasPrefix(err.Error(), `webhook "classroom": `) {
			t.Errorf("New(%s) = %v, %v, want an error that names the notifier", tt.name, s, err)
		}
	}
}

func TestValidateTellsAll(t *testing.T) {
	c := webhook.Config{ContentType: "text/plain", Config: transport.Config{Timeout: -1, MaxInFlight: -1}, FinalStatus: []int{99}, Headers: map[string]setting.Secret{"host": {}, "te": {}}}
	if got := c.Validate(); len(got) != 8 {
		t.Errorf("Validate() = %d faults, want 8:\n%v", len(got), errors.Join(got...))
	}
}

func TestWarnings(t *testing.T) {
	for url, want := range map[string]int{
		"https://classroom.example":                 0,
		"http://u:HUSH@classroom.example/HUSH?HUSH": 1,
		"": 0, // a fault
	} {
		got := config(url).Warnings()
		if len(got) != want || strings.Contains(strings.Join(got, ""), "HUSH") {
			t.Errorf("Warnings() with %q = %q, want %d", url, got, want)
		}
	}
}

// What is shown is what is posted to now.
func TestTargetFollowsTheFile(t *testing.T) {
	path := write(t, "url", "https://one.example/HUSH\n")
	c := config("")
	c.URL = setting.File(path)
	s := sender(t, c)
	for text, want := range map[string]string{"https://one.example/x": "https://one.example", "http://u:p@two.example:81": "http://two.example:81"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.Target(); got != want {
			t.Errorf("Target() = %q, want %q", got, want)
		}
	}
}
