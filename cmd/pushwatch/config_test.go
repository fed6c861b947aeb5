package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"pushwatch/watcher/setting"
)

// sound are settings without a fault. Each fault of TestFaults is put in by
// replacing one line.
const sound = `instance = "classroom-sg-1"
[http]
listen = "127.0.0.1:8465"
[store]
url = "sqlite:pushwatch.db"
[log]
level = "info"
[watch]
min_interval = "1s"
[[accounts]]
name = "school"
secret_id = { env = "PUSHWATCH_TEST_ID" }
secret_key = { file = "key" }
requests_per_second = 20
sdk_app_ids = [1400000001]
[[tasks]]
sdk_app_id = 1400000001
task_id = "ghucnligqtgtvk2624mb"
[[notifiers]]
name = "classroom"
type = "webhook"
url = "https://classroom.example/hooks/push"
secrets = [{ file = "hook" }]
events = ["push.*"]
timeout = "15s"
`

// inFolder writes the settings, and the secrets that they name, into a folder.
func inFolder(t *testing.T, text string) string {
	t.Helper()
	t.Setenv("PUSHWATCH_TEST_ID", "AKIDschool")
	t.Setenv("PUSHWATCH_TEST_BLANK", "a key with blanks")
	t.Setenv("PUSHWATCH_TEST_LINES", "a token of\ntwo lines")
	t.Setenv("PUSHWATCH_TEST_QUOTED", `"key"`)
	folder := t.TempDir()
	for name, content := range map[string]string{"config.toml": text, "key": "key\n", "hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "config.toml")
}

func TestSound(t *testing.T) {
	s, doc, err := readSettings(inFolder(t, sound))
	if err != nil {
		t.Fatal(err)
	}
	if w := doc.sorted(true); len(w) > 0 {
		t.Errorf("warnings: %v, want none", w)
	}
	if a := s.Accounts[0]; a.Region != "ap-singapore" || a.Endpoint != "https://tiw.intl.tencentcloudapi.com" {
		t.Errorf("account = %+v, want the defaults filled in", a)
	}
	if n := s.Notifiers[0]; n.Timeout.Std() != 15*time.Second || n.MaxAge.Std() != 72*time.Hour || n.MaxInFlight != 8 {
		t.Errorf("notifier = %+v, want the defaults filled in", n)
	}
	if key, err := s.Accounts[0].SecretKey.Value(); key != "key" || err != nil {
		t.Errorf("secret_key = %q, %v, want it from the file beside the settings", key, err)
	}
}

// TestByteOrderMark has settings from an editor that puts such a mark first, as those
// on Windows do.
func TestByteOrderMark(t *testing.T) {
	if _, _, err := readSettings(inFolder(t, "\ufeff"+sound)); err != nil {
		t.Error(err)
	}
}

// TestStoreURL has a SQLite file named in each way that a URL can be given: its path
// starts at the folder of the settings.
func TestStoreURL(t *testing.T) {
	for line, want := range map[string]string{
		`url = "sqlite:pushwatch.db"`:               "sqlite:FOLDER/pushwatch.db",
		`url = "sqlite://../pushwatch.db"`:          "sqlite:PARENT/pushwatch.db",
		`url = "sqlite:/var/lib/p.db"`:              "sqlite:/var/lib/p.db",
		`url = "sqlite:///var/lib/p.db"`:            "sqlite:///var/lib/p.db",
		`url = { file = "url" }`:                    "sqlite:FOLDER/by-file.db",
		`url = { env = "PUSHWATCH_TEST_STORE" }`:    "sqlite:FOLDER/by-env.db",
		`url = "postgres://u@db.example/pushwatch"`: "postgres://u@db.example/pushwatch",
	} {
		file := inFolder(t, strings.Replace(sound, `url = "sqlite:pushwatch.db"`, line, 1))
		folder := filepath.Dir(file)
		t.Setenv("PUSHWATCH_TEST_STORE", "sqlite:by-env.db")
		if err := os.WriteFile(filepath.Join(folder, "url"), []byte("sqlite:by-file.db\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want = strings.NewReplacer("FOLDER", folder, "PARENT", filepath.Dir(folder)).Replace(want)
		if got, err := readStoreURL(file); got != want || err != nil {
			t.Errorf("with %s: the database is %q, %v, want %q", line, got, err, want)
		}
	}
}

// TestStoreURLShown has what may be seen of the database's URL.
func TestStoreURLShown(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u:hush@db.example/pushwatch":                 "postgres://u:***@db.example/pushwatch",
		"postgres://:hush@db.example/pushwatch":                  "postgres://:***@db.example/pushwatch",
		"postgres://a%40b:hush@a%40b.example/p":                  "***",
		"postgres://a%40b:hush@db.example/p":                     "postgres://a%40b:***@db.example/p",
		"postgres://u@db.example/pushwatch":                      "postgres://u@db.example/pushwatch",
		"postgres://db.example/p?password=hush":                  "***",
		"postgres://u@db.example/p?sslmode=verify-full":          "postgres://u@db.example/p?sslmode=verify-full",
		"postgres://u:hush@db.example/p?sslmode=verify-full":     "postgres://u:***@db.example/p?sslmode=verify-full",
		"postgres://u@db.example/p?sslmode=require&%70assword=h": "***",
		"postgres://u@db.example/p?sslpassword=hush":             "***",
		"postgres://u@db.example/p?password=hush;":               "***",
		"sqlite:/var/lib/a folder/100%.db":                       "sqlite:/var/lib/a folder/100%.db",
	} {
		if got, err := (storeURL{Secret: setting.Plain(text)}).MarshalText(); string(got) != want || err != nil {
			t.Errorf("MarshalText of %s = %s, %v, want %s", text, got, err, want)
		}
	}
}

// TestFaults puts every kind of fault into sound settings.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ line, with, want string }{
		{`[log]`, `[log`, `config.toml:6:5: expected ']' to close table name`},
		{`level = "info"`, `levl = "info"`, `config.toml:7:1: log.levl is not a setting: want one of format, level`},
		{`level = "info"`, `level = "loud"`, `config.toml:7:1: log.level = "loud": want debug, info, warn or error`},
		{`level = "info"`, `format = "xml"`, `config.toml:7:1: log.format = "xml": want json or console`},
		{`instance = "classroom-sg-1"`, `instance = "a b"`, `config.toml:1:1: instance = "a b": want 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a sign`},
		{`listen = "127.0.0.1:8465"`, `listen = "8465"`, `config.toml:3:1: http.listen = "8465": want host:port, such as "127.0.0.1:8465", or "unix:/path"`},
		{`listen = "127.0.0.1:8465"`, `listen = "127.0.0.1:99999"`, `config.toml:3:1: http.listen = "127.0.0.1:99999": want host:port, such as "127.0.0.1:8465", or "unix:/path"`},
		{`listen = "127.0.0.1:8465"`, "tls_cert_file = \"none\"\ntls_key_file = \"key\"", `config.toml:3:1: http.tls_cert_file and http.tls_key_file: open FOLDER/none: no such file or directory`},
		{`listen = "127.0.0.1:8465"`, "tls_cert_file = \"key\"\ntls_key_file = \"key\"", `config.toml:3:1: http.tls_cert_file and http.tls_key_file: tls: failed to find any PEM data in certificate input`},
		{`listen = "127.0.0.1:8465"`, `listen = ":8465"`, `config.toml:3:1: http.listen = ":8465": reaches beyond this machine: want [[http.tokens]] too, or a loopback address or unix socket`},
		{`listen = "127.0.0.1:8465"`, `tls_key_file = "key"`, `config.toml:2:2: http.tls_cert_file and http.tls_key_file: want both or neither`},
		{`listen = "127.0.0.1:8465"`, "[[http.tokens]]\nname = \"x\"\nrole = \"read\"\nsecret = { env = \"PUSHWATCH_TEST_ID\" }", `config.toml:6:1: http.tokens[0].secret: want at least 16 characters, such as 32 random ones`},
		{`listen = "127.0.0.1:8465"`, "[[http.tokens]]\nname = \"x\"\nrole = \"read\"\nsecret = { env = \"PUSHWATCH_TEST_LINES\" }", `config.toml:6:1: http.tokens[0].secret: has a line break or another character that is not allowed in a header: want one line of text`},
		{`url = "sqlite:pushwatch.db"`, `url = "postgres://u@db.example:none/pushwatch"`, `config.toml:5:1: store.url: not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full`},
		{`url = "sqlite:pushwatch.db"`, `url = "postgres://u@db.example/p?sslmode=maybe"`, `config.toml:5:1: store.url: not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full`},
		{`url = "sqlite:pushwatch.db"`, `url = "sqlite::memory:"`, `config.toml:5:1: store.url: want "sqlite:/path/file.db" or "postgres://user@host/database"`},
		{`url = "sqlite:pushwatch.db"`, `url = "mysql:x"`, `config.toml:5:1: store.url: want "sqlite:/path/file.db" or "postgres://user@host/database"`},
		{`min_interval = "1s"`, `min_interval = 1`, `config.toml:9:1: watch.min_interval = 1: want text, such as "90s"`},
		{`min_interval = "1s"`, `min_interval = ["1s"]`, `config.toml:9:1: watch.min_interval is a list: want text, such as "90s"`},
		{`min_interval = "1s"`, `min_interval = "soon"`, `config.toml:9:1: watch.min_interval = "soon": want a number with its unit, such as "90s", "15m" or "1h30m"`},
		{`min_interval = "1s"`, `min_interval = "-1s"`, `config.toml:9:1: watch.min_interval = "-1s": want at least "100ms"`},
		{`min_interval = "1s"`, `min_interval = "1ns"`, `config.toml:9:1: watch.min_interval = "1ns": want at least "100ms"`},
		{`min_interval = "1s"`, `request_timeout = "1ms"`, `config.toml:9:1: watch.request_timeout = "1ms": want at least "100ms"`},
		{`min_interval = "1s"`, `blind_after = "0s"`, `config.toml:9:1: watch.blind_after = "0s": want more than zero, such as "30s"`},
		{`min_interval = "1s"`, `min_interval = "2m"`, `config.toml:9:1: watch.min_interval = "2m": want at most watch.max_staleness, "1m"`},
		{`min_interval = "1s"`, `thrift = "-1s"`, `config.toml:9:1: watch.thrift = "-1s": want "0s" to use the whole quota, or at most watch.max_staleness, "1m"`},
		{`min_interval = "1s"`, `thrift = "2m"`, `config.toml:9:1: watch.thrift = "2m": want "0s" to use the whole quota, or at most watch.max_staleness, "1m"`},
		{`min_interval = "1s"`, `abandon_after = "-1s"`, `config.toml:9:1: watch.abandon_after = "-1s": want "0s" for never, or more than watch.blind_after, "1m"`},
		{`min_interval = "1s"`, `abandon_after = "1m"`, `config.toml:9:1: watch.abandon_after = "1m": want "0s" for never, or more than watch.blind_after, "1m"`},
		{`min_interval = "1s"`, `confirmations = 0`, `config.toml:9:1: watch.confirmations = 0: want 1 to 10`},
		{`name = "school"`, ``, `config.toml:10:3: accounts[0].name is missing: want a name of its own`},
		{`secret_key = { file = "key" }`, `secret_key = { file = "none" }`, `config.toml:13:1: accounts[0].secret_key: read secret: open FOLDER/none: no such file or directory`},
		{`secret_key = { file = "key" }`, `secret_key = { file = "empty" }`, `config.toml:13:1: accounts[0].secret_key: read secret FOLDER/empty: the file is empty`},
		{`secret_key = { file = "key" }`, `secret_key = { env = "PUSHWATCH_TEST_NONE" }`, `config.toml:13:1: accounts[0].secret_key: read secret: environment variable PUSHWATCH_TEST_NONE is not set or empty`},
		{`secret_key = { file = "key" }`, `secret_key = { env = "PUSHWATCH_TEST_BLANK" }`, `config.toml:13:1: accounts[0].secret_key: holds a blank or another character that no key has`},
		{`secret_key = { file = "key" }`, "secret_key = { file = \"key\" }\nsession_token = \"a b\"", `config.toml:14:1: accounts[0].session_token: holds a blank or another character that no key has`},
		{`secret_key = { file = "key" }`, `secret_key = { env = "PUSHWATCH_TEST_QUOTED" }`, `config.toml:13:1: accounts[0].secret_key: read secret PUSHWATCH_TEST_QUOTED: the value is in quotes: remove them`},
		{"secret_id = { env = \"PUSHWATCH_TEST_ID\" }\nsecret_key = { file = \"key\" }", "credentials = \"profile\"\nprofile_file = \"key\"", `config.toml:13:1: accounts[0].profile_file: profile FOLDER/key: has no section [default]`},
		{`secret_key = { file = "key" }`, `secret_key = { fiel = "key" }`, `config.toml:13:1: accounts[0].secret_key is not a secret: want { file = "/path" }, { env = "NAME" } or text in quotes`},
		{`secret_key = { file = "key" }`, ``, `config.toml:10:3: accounts[0].secret_key: read secret: none is set`},
		{`secret_key = { file = "key" }`, "secret_key = { file = \"key\" }\ncredentials = \"cvm\"", `config.toml:14:1: accounts[0].credentials = "cvm": want "static", "cvm-role" or "profile"`},
		{`secret_key = { file = "key" }`, `credentials = "profile"`, `config.toml:12:1: accounts[0].secret_id is set: with credentials = "profile" the keys come from there`},
		{"secret_id = { env = \"PUSHWATCH_TEST_ID\" }\nsecret_key = { file = \"key\" }", "credentials = \"profile\"\nprofile_file = \"none\"", `config.toml:13:1: accounts[0].profile_file: read secret: open FOLDER/none: no such file or directory`},
		{`secret_key = { file = "key" }`, "secret_key = { file = \"key\" }\nrole = \"watch\"", `config.toml:14:1: accounts[0].role = "watch": is for credentials = "cvm-role"`},
		{`requests_per_second = 20`, `requests_per_second = 21`, `config.toml:14:1: accounts[0].requests_per_second = 21: want more than 0 and at most 20, which is the API's limit`},
		{`requests_per_second = 20`, `requests_per_second = 0`, `config.toml:14:1: accounts[0].requests_per_second = 0: want more than 0 and at most 20, which is the API's limit`},
		{`requests_per_second = 20`, `endpoint = "http://tiw.example"`, `config.toml:14:1: accounts[0].endpoint = "http://tiw.example": want https (http is for loopback only)`},
		{`sdk_app_ids = [1400000001]`, `sdk_app_ids = [1400000001, 1400000001]`, `config.toml:15:1: accounts[0].sdk_app_ids = 1400000001: belongs to account "school" already: an application belongs to exactly one`},
		{`min_interval = "1s"`, "[heartbeat]\nurl = \"hc.example/t0ken\"", `config.toml:10:1: heartbeat.url: want "https://" (or "http://") and a host`},
		{`min_interval = "1s"`, "[heartbeat]\nevery = \"0s\"", `config.toml:10:1: heartbeat.every = "0s": want at least "1s"`},
		{`sdk_app_id = 1400000001`, `sdk_app_id = 1400000002`, `config.toml:17:1: tasks[0].sdk_app_id = 1400000002: belongs to no account: add it to the sdk_app_ids of one`},
		{`task_id = "ghucnligqtgtvk2624mb"`, `task_id = "a/b"`, `config.toml:18:1: tasks[0].task_id = "a/b": want 1 to 128 of A-Z a-z 0-9 _ -`},
		{`type = "webhook"`, `type = "pigeon"`, `config.toml:21:1: notifiers[0].type = "pigeon": want "webhook", "chat" or "log"`},
		{`url = "https://classroom.example/hooks/push"`, `url = "classroom.example"`, `config.toml:22:1: notifiers[0].url: in the settings: want "https://" (or "http://") and a host`},
		{`secrets = [{ file = "hook" }]`, `secrets = [{ file = "key" }]`, `config.toml:23:12: notifiers[0].secrets[0]: file FOLDER/key: parse webhook secret: not base64: want "whsec_" and standard base64 with its padding, on one line`},
		{`secrets = [{ file = "hook" }]`, ``, `config.toml:19:3: notifiers[0].secrets: 0 are set: want 1 to 16`},
		{`events = ["push.*"]`, `events = ["push.moved"]`, `config.toml:24:1: notifiers[0].events: "push.moved" is not an event type: want one of ` + eventTypes + `, or a pattern such as "push.*" or "*"`},
		{`events = ["push.*"]`, ``, `config.toml:19:3: notifiers[0].events = []: want at least one type or pattern, such as ["push.stopped", "push.failed"] or ["*"]`},
		{`timeout = "15s"`, `timeout = "0s"`, `config.toml:25:1: notifiers[0].timeout = "0s": want at least "100ms"`},
		{`timeout = "15s"`, `max_age = "1ns"`, `config.toml:25:1: notifiers[0].max_age = "1ns": want at least "1s"`},
		{`timeout = "15s"`, `language = "en"`, `config.toml:25:1: notifiers[0].language has no effect for type = "webhook": leave it out, it is for chat`},
		{`url = "sqlite:pushwatch.db"`, `retention = "1s"`, `config.toml:5:1: store.retention = "1s": want at least "1m"`},
		{`timeout = "15s"`, `max_in_flight = 0`, `config.toml:25:1: notifiers[0].max_in_flight = 0: want 1 to 1000`},
		{`timeout = "15s"`, `allow_cidrs = ["10.0.0.1"]`, `config.toml:25:1: notifiers[0].allow_cidrs: "10.0.0.1": want an address range, such as "10.20.0.0/16" or "127.0.0.1/32"`},
		{`timeout = "15s"`, `headers = { webhook-id = "x" }`, `config.toml:25:1: notifiers[0].headers: "webhook-id" is set by pushwatch or by HTTP itself: want another`},
		{`timeout = "15s"`, `headers = { authorization = { file = "none" } }`, `config.toml:25:1: notifiers[0].headers: the value of "authorization": read secret: open FOLDER/none: no such file or directory`},
		{`timeout = "15s"`, `match = { course = "[" }`, `config.toml:25:11: notifiers[0].match.course = "[": want a shell pattern, such as "math-*"`},
		{`timeout = "15s"`, `final_status = [200]`, `config.toml:25:1: notifiers[0].final_status: 200: want statuses from 300 to 599, except 410, which ends all deliveries anyway`},
		{`timeout = "15s"`, `fallback = "oncall"`, `config.toml:25:1: notifiers[0].fallback = "oncall": want the name of another notifier`},
		{`timeout = "15s"`, `fallback = "classroom"`, `config.toml:25:1: notifiers[0].fallback = "classroom": is a cycle: classroom → classroom`},
		{`timeout = "15s"`, "[[notifiers]]\nname = \"classroom\"\ntype = \"log\"\nevents = [\"*\"]", `config.toml:26:1: notifiers[1].name = "classroom": is used before: want a name of its own`},
	} {
		if strings.Count(sound, c.line+"\n") != 1 {
			t.Fatalf("sound settings have the line %q %d times", c.line, strings.Count(sound, c.line+"\n"))
		}
		file := inFolder(t, strings.Replace(sound, c.line+"\n", c.with+"\n", 1))
		_, _, err := readSettings(file)
		fault, ok := errors.AsType[*settingsError](err)
		if !ok {
			t.Errorf("with %q: %v, want %s", c.with, err, c.want)
			continue
		}
		got, _, _ := strings.Cut(fault.Error(), "\n")
		got = strings.ReplaceAll(got, filepath.Dir(file)+"/config.toml", "config.toml")
		if got = strings.ReplaceAll(got, filepath.Dir(file), "FOLDER"); got != c.want {
			t.Errorf("with %q:\n got %s\nwant %s", c.with, got, c.want)
		}
	}
}

// TestRegisterCallbacks holds that who cannot be told from TIW registers nothing from
// another machine.
func TestRegisterCallbacks(t *testing.T) {
	const token = "\n[[http.tokens]]\nname = \"backend\"\nrole = \"write\"\nsecret = \"write-write-write\""
	for _, c := range []struct {
		listen, key   string
		fault, warned bool
	}{
		{":8465", "", true, false},
		{"192.0.2.1:8465", "", true, false},
		{"pushwatch.example:8465", "", true, false},
		{"127.0.0.1:8465", "", false, true},
		{"[::1]:8465", "", false, true},
		{"unix:/run/pushwatch/api.sock", "", false, true},
		{":8465", "\ncallback_key = { file = \"key\" }", false, false},
	} {
		text := strings.NewReplacer(`listen = "127.0.0.1:8465"`, fmt.Sprintf("listen = %q", c.listen)+token,
			"requests_per_second = 20", "register_callbacks = true"+c.key).Replace(sound)
		_, doc, err := readSettings(inFolder(t, text))
		if doc == nil {
			t.Fatal(err)
		}
		refused := err != nil && strings.Contains(err.Error(), "accounts[0].register_callbacks = true: http.listen")
		warned := slices.ContainsFunc(doc.sorted(true), func(f fault) bool { return f.key == "accounts[0].register_callbacks" })
		if refused != c.fault || warned != c.warned || err != nil && !refused {
			t.Errorf("listen = %q with the key %q: fault %t, warning %t, %v; want %t, %t", c.listen, c.key, refused, warned, err, c.fault, c.warned)
		}
	}
}

// TestFaultsShowNoSecrets has secrets where something of another shape belongs: in
// place of lists and tables, and in those that stand in place of a value.
func TestFaultsShowNoSecrets(t *testing.T) {
	for _, c := range []struct{ line, with, want string }{
		{`[[accounts]]`, "[accounts]\nsession_token = \"hush\"", "accounts is a table: want a list of tables, [[accounts]]\n"},
		{`listen = "127.0.0.1:8465"`, `tokens = "hush-hush-hush-hush"`, "http.tokens is text: want a list of tables, [[http.tokens]]\n"},
		{`listen = "127.0.0.1:8465"`, `listen = { secret = "hush" }`, "http.listen is a table: want text in quotes\n"},
		{`listen = "127.0.0.1:8465"`, `tokens = ["hush"]`, "http.tokens[0] is text: want a table\n"},
		{`secret_key = { file = "key" }`, `secret_key = ["hush"]`, "accounts[0].secret_key is not a secret: want"},
		{`secret_key = { file = "key" }`, `region = ["hush"]`, "accounts[0].region is a list: want text in quotes\n"},
		{`secrets = [{ file = "hook" }]`, `secrets = "whsec_hush"`, "notifiers[0].secrets is text: want a list\n"},
		{`secrets = [{ file = "hook" }]`, `secrets = { key = "hush" }`, "notifiers[0].secrets is a table: want a list\n"},
		{`timeout = "15s"`, `timeout = { key = "hush" }`, "notifiers[0].timeout is a table: want text, such as \"90s\"\n"},
		{`timeout = "15s"`, `headers = "Authorization: Bearer hush"`, "notifiers[0].headers is text: want a table\n"},
	} {
		_, _, err := readSettings(inFolder(t, strings.Replace(sound, c.line+"\n", c.with+"\n", 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("with %q: %v\nwant %s", c.with, err, c.want)
		}
	}
}

// TestDocumented has the settings that users were told of, all of them, as text
// that stays as it is.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("testdata/documented.toml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TENCENTCLOUD_SECRET_ID", "AKIDschool")
	t.Setenv("TENCENTCLOUD_SECRET_KEY", "key")
	folder := t.TempDir()
	for name, content := range map[string]string{
		"config.toml": strings.ReplaceAll(string(text), "/etc/pushwatch/", ""),
		"api-token":   "0123456789abcdef", "webhook-key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "oncall-url": "slack://hook:A1B2C3D4E-5F6G7H8I9-J0K1L2M3N4O5P6Q7R8S9T0U1@webhook",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, doc, err := readSettings(filepath.Join(folder, "config.toml"))
	if err != nil {
		t.Error(err)
	}
	for _, w := range doc.sorted(true) {
		t.Error(doc.print(w))
	}
}

const eventTypes = "push.preparing, push.started, push.exception, push.stalled, push.overdue, push.backup_changed, push.changed, push.stopped, push.failed, push.not_found, push.blind, push.sighted, push.abandoned, watcher.blind, watcher.sighted, delivery.exhausted, webhook.test"

// TestFaultsWithin has faults in inline tables and in lists, whose keys and elements
// have lines and columns of their own.
func TestFaultsWithin(t *testing.T) {
	const inline = `accounts = [
  # a list in one piece
  { name = "school", secret_id = { env = "PUSHWATCH_TEST_ID" }, secret_key = { file = "key" }, sdk_app_ids = [1400000001, "x"] },
  { name = "college", secret_id = { evn = "PUSHWATCH_TEST_ID" }, region = 7 }, # a comment
]
notifiers = [{ name = "log", type = "log", events = ["*", "push.moved"], match = { course.level = "a" } }]
tasks = [7]
`
	_, _, err := readSettings(inFolder(t, inline))
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{
		`:3:123: accounts[0].sdk_app_ids[1] = "x": want a whole number`,
		`:4:23: accounts[1].secret_id is not a secret: want`,
		`:4:66: accounts[1].region = 7: want text in quotes`,
		`:4:3: accounts[1].sdk_app_ids is missing`,
		`:6:44: notifiers[0].events: "push.moved" is not an event type`,
		`:6:74: notifiers[0].match.course is a table: want text in quotes`,
		`:7:10: tasks[0] is a number: want a table`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

// TestFaultsAllAtOnce has faults of every stage in one file.
func TestFaultsAllAtOnce(t *testing.T) {
	text := strings.NewReplacer(`level = "info"`, `level = "loud"`, `requests_per_second = 20`, `requests_per_second = "20"`, `timeout = "15s"`, `tiemout = "15s"`).Replace(sound)
	_, _, err := readSettings(inFolder(t, text))
	for _, want := range []string{"log.level", "accounts[0].requests_per_second", "notifiers[0].tiemout", "3 faults"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

// TestExample holds config.example.toml to the defaults: every setting stands in
// it, and what has a default has it there.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../config.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := defaults()
	doc := decode("config.example.toml", text, &s)
	for _, f := range doc.faults {
		t.Error(doc.print(f))
	}
	want := defaults()
	s.Instance = want.Instance // the host's name
	got := s
	got.HTTP.Tokens, got.Accounts, got.Tasks, got.Notifiers = nil, nil, nil, nil
	if a, b := marshal(t, got), marshal(t, want); a != b {
		t.Errorf("the example has\n%s\nwant the defaults\n%s", a, b)
	}
	for _, n := range s.Notifiers { // a copy of the file must not filter or add anything
		if len(n.Match) > 0 || len(n.Headers) > 0 || len(n.FinalStatus) > 0 || !slices.Contains(n.Events, "*") && !slices.Contains(n.Events, "push.*") {
			t.Errorf("the example's notifier %s filters or adds: events %v, match %v, headers %v, final_status %v", n.Name, n.Events, n.Match, n.Headers, n.FinalStatus)
		}
	}
	if len(s.Tasks) > 0 || len(s.HTTP.Tokens) > 0 {
		t.Errorf("the example has %d tasks and %d tokens, want none", len(s.Tasks), len(s.HTTP.Tokens))
	}
	for _, key := range keys(t) {
		if !strings.Contains(string(text), key+" =") {
			t.Errorf("config.example.toml does not show the setting %s", key)
		}
	}
}

// TestSettingsByType: a setting without an effect for a notifier's type is a fault where
// it is written, and is not printed where it is not.
func TestSettingsByType(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "hook"), []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	written := map[string]string{ // of each setting that not all types have
		"url": `"generic://127.0.0.1/"`, "secrets": `[{ file = "hook" }]`, "content_type": `"application/json"`, "headers": `{ x = "a" }`,
		"timeout": `"15s"`, "max_in_flight": "8", "allow_cidrs": "[]", "ca_file": `""`, "client_cert_file": `""`, "client_key_file": `""`,
		"proxy_url": `"http://proxy.example"`, "final_status": "[422]", "language": `"en"`,
	}
	has := map[string][]string{
		"log":  {},
		"chat": {"url", "timeout", "allow_cidrs", "ca_file", "proxy_url", "language"},
		"webhook": {"url", "secrets", "content_type", "headers", "timeout", "max_in_flight", "allow_cidrs", "ca_file", "client_cert_file", "client_key_file",
			"proxy_url", "final_status"},
	}
	required := map[string]string{"log": "", "chat": `url = "generic://127.0.0.1/"`, "webhook": "url = \"https://classroom.example\"\nsecrets = [{ file = \"hook\" }]"}
	for kind, keys := range has {
		base := "[[notifiers]]\nname = \"n\"\ntype = \"" + kind + "\"\nevents = [\"*\"]\n" + required[kind] + "\n"
		for key, value := range written {
			text := base
			if !strings.Contains(base, key+" =") {
				text += key + " = " + value + "\n"
			}
			s := defaults()
			doc := decode(filepath.Join(folder, "config.toml"), []byte(text), &s)
			s.checkNotifiers(doc)
			var faults []string
			for _, f := range doc.sorted(false) {
				faults = append(faults, doc.print(f))
			}
			if slices.Contains(keys, key) {
				if len(faults) > 0 {
					t.Errorf("%s with %s: %q, want no fault", kind, key, faults)
				}
			} else if len(faults) != 1 || !strings.Contains(faults[0], "notifiers[0]."+key+` has no effect for type = "`+kind+`"`) {
				t.Errorf("%s with %s: %q, want one fault, that it has no effect", kind, key, faults)
			}
			printed, err := s.printed()
			_, notifier, found := strings.Cut(string(printed), "[[notifiers]]")
			if shown := strings.Contains(notifier, key+" ="); err != nil || !found || shown != slices.Contains(keys, key) && key != "headers" {
				t.Errorf("%s, printed with %s: %t, %v\n%s", kind, key, shown, err, notifier)
			}
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := toml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keys are the names of all settings that are values.
func keys(t *testing.T) []string {
	t.Helper()
	var all settings
	all.HTTP.Tokens, all.Accounts, all.Tasks, all.Notifiers = make([]tokenSettings, 1), make([]accountSettings, 1), make([]taskSettings, 1), make([]notifierSettings, 1)
	all.Tasks[0].Labels, all.Notifiers[0].Match = map[string]string{}, map[string]string{}
	all.Notifiers[0].Headers = map[string]setting.Secret{}
	var names []string
	for line := range strings.Lines(marshal(t, all)) {
		if name, _, ok := strings.Cut(line, " ="); ok {
			names = append(names, name)
		}
	}
	if len(names) < 40 {
		t.Fatalf("found %d settings only: %v", len(names), names)
	}
	return names
}
