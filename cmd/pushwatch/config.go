package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pushwatch/notify/chat"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tencent"
)

// settings is the contents of the settings file. decode overwrites [defaults] with it.
type settings struct {
	Instance  string             `toml:"instance"`
	HTTP      httpSettings       `toml:"http"`
	Store     storeSettings      `toml:"store"`
	Log       logSettings        `toml:"log"`
	Watch     watchSettings      `toml:"watch"`
	Heartbeat heartbeatSettings  `toml:"heartbeat"`
	Accounts  []accountSettings  `toml:"accounts"`
	Tasks     []taskSettings     `toml:"tasks"`
	Notifiers []notifierSettings `toml:"notifiers,omitempty"` // printed by printed
}

type httpSettings struct {
	Listen      string          `toml:"listen"`
	TLSCertFile string          `toml:"tls_cert_file"`
	TLSKeyFile  string          `toml:"tls_key_file"`
	Tokens      []tokenSettings `toml:"tokens"`
}

type tokenSettings struct {
	Name   string         `toml:"name"`
	Secret setting.Secret `toml:"secret"`
	Role   string         `toml:"role"`
}

type storeSettings struct {
	URL       storeURL         `toml:"url"`
	Retention setting.Duration `toml:"retention"`

	TakeoverAfter setting.Duration `toml:"takeover_after"`
}

// A storeURL is a database URL that may contain a password. If it is written in the
// settings themselves, only the password is masked.
type storeURL struct {
	setting.Secret
	folder string // of a relative SQLite path; empty: the working directory
}

// Value reads the URL. It resolves a relative SQLite path against the folder.
func (u storeURL) Value() (string, error) {
	text, err := u.Secret.Value()
	if err != nil {
		return "", err
	}
	path, ok := strings.CutPrefix(text, "sqlite:")
	if path = strings.TrimPrefix(path, "//"); !ok || path == "" || filepath.IsAbs(path) {
		return text, nil
	}
	return "sqlite:" + filepath.Join(u.folder, path), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (u storeURL) MarshalText() ([]byte, error) {
	text, err := u.Value()
	if err != nil || !u.IsPlain() {
		return u.Secret.MarshalText()
	}
	if strings.HasPrefix(text, "sqlite:") {
		return []byte(text), nil
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return u.Secret.MarshalText()
	}
	if query, err := url.ParseQuery(parsed.RawQuery); err != nil || query.Has("password") || query.Has("sslpassword") {
		return u.Secret.MarshalText()
	}
	return []byte(maskPassword(parsed)), nil
}

// maskPassword returns u as text with the mask in place of its password.
func maskPassword(u *url.URL) string {
	return strings.Replace(u.Redacted(), ":xxxxx@", ":"+setting.Mask+"@", 1)
}

type logSettings struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

type watchSettings struct {
	MaxStaleness   setting.Duration `toml:"max_staleness"`
	MinInterval    setting.Duration `toml:"min_interval"`
	Thrift         setting.Duration `toml:"thrift"`
	NotFoundGrace  setting.Duration `toml:"not_found_grace"`
	Confirmations  int              `toml:"confirmations"`
	StalledAfter   setting.Duration `toml:"stalled_after"`
	OverdueAfter   setting.Duration `toml:"overdue_after"`
	BlindAfter     setting.Duration `toml:"blind_after"`
	AbandonAfter   setting.Duration `toml:"abandon_after"`
	RequestTimeout setting.Duration `toml:"request_timeout"`
}

type heartbeatSettings struct {
	URL   setting.Secret   `toml:"url"` // secret: anyone can send heartbeats with it
	Every setting.Duration `toml:"every"`
}

type accountSettings struct {
	Name              string         `toml:"name"`
	SecretID          setting.Secret `toml:"secret_id"`
	SecretKey         setting.Secret `toml:"secret_key"`
	SessionToken      setting.Secret `toml:"session_token"`
	Credentials       string         `toml:"credentials"`
	Role              string         `toml:"role"`
	ProfileFile       string         `toml:"profile_file"`
	Profile           string         `toml:"profile"`
	Region            string         `toml:"region"`
	Endpoint          string         `toml:"endpoint"`
	RequestsPerSecond float64        `toml:"requests_per_second"`
	ProxyURL          setting.Secret `toml:"proxy_url"`
	CAFile            string         `toml:"ca_file"`
	SDKAppIDs         []int64        `toml:"sdk_app_ids"`
	CallbackKey       setting.Secret `toml:"callback_key"`
	RegisterCallbacks bool           `toml:"register_callbacks"`
}

type taskSettings struct {
	SDKAppID int64             `toml:"sdk_app_id"`
	TaskID   string            `toml:"task_id"`
	Labels   map[string]string `toml:"labels"`
}

// notifierSettings are the settings of a notifier of any type. The tag "for" names the
// types for which a setting has an effect; without the tag, all types.
type notifierSettings struct {
	Name           string                    `toml:"name"`
	Type           string                    `toml:"type"`
	URL            setting.Secret            `toml:"url" for:"webhook chat"`
	Secrets        []setting.Secret          `toml:"secrets" for:"webhook"`
	Events         []string                  `toml:"events"`
	Match          map[string]string         `toml:"match"`
	ContentType    string                    `toml:"content_type" for:"webhook"`
	Headers        map[string]setting.Secret `toml:"headers" for:"webhook"`
	Timeout        setting.Duration          `toml:"timeout" for:"webhook chat"`
	MaxInFlight    int                       `toml:"max_in_flight" for:"webhook"`
	MaxAge         setting.Duration          `toml:"max_age"`
	AllowCIDRs     []string                  `toml:"allow_cidrs" for:"webhook chat"`
	CAFile         string                    `toml:"ca_file" for:"webhook chat"`
	ClientCertFile string                    `toml:"client_cert_file" for:"webhook"`
	ClientKeyFile  string                    `toml:"client_key_file" for:"webhook"`
	ProxyURL       setting.Secret            `toml:"proxy_url" for:"webhook chat"`
	FinalStatus    []int                     `toml:"final_status" for:"webhook"`
	Fallback       string                    `toml:"fallback"`
	Language       string                    `toml:"language" for:"chat"`
}

// defaults are the settings of an empty file.
func defaults() settings {
	host, err := os.Hostname()
	if err != nil {
		host = "pushwatch"
	}
	return settings{
		Instance: host,
		HTTP:     httpSettings{Listen: "127.0.0.1:8465"},
		Store:    storeSettings{URL: storeURL{Secret: setting.Plain("sqlite:/var/lib/pushwatch/pushwatch.db")}, Retention: setting.Duration(720 * time.Hour), TakeoverAfter: setting.Duration(10 * time.Second)},
		Log:      logSettings{Level: "info", Format: "json"},
		Watch: watchSettings{
			MaxStaleness: setting.Duration(time.Minute), MinInterval: setting.Duration(time.Second),
			NotFoundGrace: setting.Duration(30 * time.Second), Confirmations: 2,
			StalledAfter: setting.Duration(2 * time.Minute), OverdueAfter: setting.Duration(10 * time.Minute),
			BlindAfter: setting.Duration(time.Minute), AbandonAfter: setting.Duration(72 * time.Hour), RequestTimeout: setting.Duration(5 * time.Second),
		},
		Heartbeat: heartbeatSettings{Every: setting.Duration(time.Minute)},
	}
}

func (a *accountSettings) setDefaults() {
	a.Credentials = "static"
	a.Region, a.Endpoint, a.RequestsPerSecond = tencent.DefaultRegion, tencent.DefaultEndpoint, watcher.MaxRequestsPerSecond
}

func (n *notifierSettings) setDefaults() {
	n.ContentType, n.Timeout, n.MaxInFlight, n.MaxAge = "application/json", setting.Duration(15*time.Second), 8, setting.Duration(72*time.Hour)
	n.Language = chat.DefaultLanguage
}

// readSettings reads and checks a settings file, and fills in the defaults. Its error is
// a [settingsError] if the file has faults.
func readSettings(file string) (settings, *document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return settings{}, nil, usagef("read settings: %w: --config gives the path of the settings", err)
	}
	s := defaults()
	d := decode(file, text, &s)
	if d.positions != nil { // otherwise it is not TOML
		s.check(d)
	}
	return s, d, d.err()
}

// readStoreURL reads store.url. It ignores faults elsewhere, because other settings may
// name files that only the running daemon has, such as systemd credentials.
func readStoreURL(file string) (string, error) {
	s, d, err := readSettings(file)
	if d == nil {
		return "", err
	}
	d.faults = slices.DeleteFunc(d.faults, func(f fault) bool { return f.key != "" && !strings.HasPrefix(f.key, "store") })
	if err := d.err(); err != nil {
		return "", err
	}
	return s.Store.URL.Value()
}

// A settingsError holds all faults of a settings file.
type settingsError struct{ doc *document }

func (e *settingsError) Error() string {
	var lines []string
	faults := e.doc.sorted(false)
	for _, f := range faults {
		lines = append(lines, e.doc.print(f))
	}
	noun := "faults"
	if len(faults) == 1 {
		noun = "fault"
	}
	return fmt.Sprintf("%s\n%d %s in the settings: fix them and start again", strings.Join(lines, "\n"), len(faults), noun)
}
