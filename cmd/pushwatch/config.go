package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tencent"
)

// settings is the settings file. Its fields start with their defaults.
type settings struct {
	Instance  string             `toml:"instance"`
	HTTP      httpSettings       `toml:"http"`
	Store     storeSettings      `toml:"store"`
	Log       logSettings        `toml:"log"`
	Watch     watchSettings      `toml:"watch"`
	Accounts  []accountSettings  `toml:"accounts"`
	Tasks     []taskSettings     `toml:"tasks"`
	Notifiers []notifierSettings `toml:"notifiers"`
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
}

// A storeURL is a secret, since it may hold a password, of which the rest may be
// seen where it stands in the settings.
type storeURL struct{ setting.Secret }

// MarshalText implements [encoding.TextMarshaler].
func (u storeURL) MarshalText() ([]byte, error) {
	text, err := u.Value()
	if err != nil || !u.IsPlain() {
		return u.Secret.MarshalText()
	}
	parsed, err := url.Parse(text)
	if err != nil || len(parsed.Query()) > 0 { // a password may stand there too
		return u.Secret.MarshalText()
	}
	if _, hidden := parsed.User.Password(); hidden {
		parsed.User = url.UserPassword(parsed.User.Username(), setting.Mask)
	}
	return []byte(parsed.String()), nil
}

type logSettings struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

type watchSettings struct {
	MaxStaleness   setting.Duration `toml:"max_staleness"`
	MinInterval    setting.Duration `toml:"min_interval"`
	NotFoundGrace  setting.Duration `toml:"not_found_grace"`
	Confirmations  int              `toml:"confirmations"`
	StalledAfter   setting.Duration `toml:"stalled_after"`
	OverdueAfter   setting.Duration `toml:"overdue_after"`
	BlindAfter     setting.Duration `toml:"blind_after"`
	RequestTimeout setting.Duration `toml:"request_timeout"`
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
	SDKAppIDs         []int64        `toml:"sdk_app_ids"`
	CallbackKey       setting.Secret `toml:"callback_key"`
	RegisterCallbacks bool           `toml:"register_callbacks"`
}

type taskSettings struct {
	SDKAppID int64             `toml:"sdk_app_id"`
	TaskID   string            `toml:"task_id"`
	Labels   map[string]string `toml:"labels"`
}

type notifierSettings struct {
	Name           string            `toml:"name"`
	Type           string            `toml:"type"`
	URL            setting.Secret    `toml:"url"`
	Secrets        []setting.Secret  `toml:"secrets"`
	Events         []string          `toml:"events"`
	Match          map[string]string `toml:"match"`
	ContentType    string            `toml:"content_type"`
	Headers        map[string]string `toml:"headers"`
	Timeout        setting.Duration  `toml:"timeout"`
	MaxInFlight    int               `toml:"max_in_flight"`
	MaxAge         setting.Duration  `toml:"max_age"`
	AllowCIDRs     []string          `toml:"allow_cidrs"`
	CAFile         string            `toml:"ca_file"`
	ClientCertFile string            `toml:"client_cert_file"`
	ClientKeyFile  string            `toml:"client_key_file"`
	ProxyURL       setting.Secret    `toml:"proxy_url"`
	FinalStatus    []int             `toml:"final_status"`
	Fallback       string            `toml:"fallback"`
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
		Store:    storeSettings{URL: storeURL{setting.Plain("sqlite:/var/lib/pushwatch/pushwatch.db")}, Retention: setting.Duration(720 * time.Hour)},
		Log:      logSettings{Level: "info", Format: "json"},
		Watch: watchSettings{
			MaxStaleness: setting.Duration(time.Minute), MinInterval: setting.Duration(time.Second),
			NotFoundGrace: setting.Duration(30 * time.Second), Confirmations: 2,
			StalledAfter: setting.Duration(2 * time.Minute), OverdueAfter: setting.Duration(10 * time.Minute),
			BlindAfter: setting.Duration(time.Minute), RequestTimeout: setting.Duration(5 * time.Second),
		},
	}
}

func (a *accountSettings) setDefaults() {
	a.Credentials = "static"
	a.Region, a.Endpoint, a.RequestsPerSecond = tencent.DefaultRegion, tencent.DefaultEndpoint, watcher.MaxRequestsPerSecond
}

func (n *notifierSettings) setDefaults() {
	n.ContentType, n.Timeout, n.MaxInFlight, n.MaxAge = "application/json", setting.Duration(15*time.Second), 8, setting.Duration(72*time.Hour)
}

// readSettings reads a settings file, fills in the defaults and checks all of it.
// Its error is a [settingsError] where the file is at fault.
func readSettings(file string) (settings, *document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return settings{}, nil, usagef("read settings: %w: name the file with --config", err)
	}
	s := defaults()
	d := decode(file, text, &s)
	if d.positions == nil { // no TOML at all
		return s, d, &settingsError{d}
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return settings{}, nil, fmt.Errorf("read settings: %w", err)
	}
	s.resolve(folder)
	s.check(d)
	if faults := d.sorted(false); len(faults) > 0 {
		return s, d, &settingsError{d}
	}
	return s, d, nil
}

// A settingsError holds everything that is wrong with a settings file.
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
	return fmt.Sprintf("%s\n%d %s in the settings: mend them and start again", strings.Join(lines, "\n"), len(faults), noun)
}

// resolve takes relative paths from the settings file's folder.
func (s *settings) resolve(folder string) {
	absolute := func(paths ...*string) {
		for _, p := range paths {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(folder, *p)
			}
		}
	}
	secrets := func(all ...*setting.Secret) {
		for _, secret := range all {
			*secret = secret.In(folder)
		}
	}
	absolute(&s.HTTP.TLSCertFile, &s.HTTP.TLSKeyFile)
	secrets(&s.Store.URL.Secret)
	for i := range s.HTTP.Tokens {
		secrets(&s.HTTP.Tokens[i].Secret)
	}
	for i := range s.Accounts {
		a := &s.Accounts[i]
		secrets(&a.SecretID, &a.SecretKey, &a.SessionToken, &a.CallbackKey)
		absolute(&a.ProfileFile)
	}
	for i := range s.Notifiers {
		n := &s.Notifiers[i]
		secrets(&n.URL, &n.ProxyURL)
		for j := range n.Secrets {
			secrets(&n.Secrets[j])
		}
		absolute(&n.CAFile, &n.ClientCertFile, &n.ClientKeyFile)
	}
}

// namePattern is what the names of accounts, notifiers and tokens are made of:
// they stand in metrics, URLs and ids.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// names checks the names of a list: each well formed and used once.
func names(d *document, list string, all []string) {
	for i, name := range all {
		key := fmt.Sprintf("%s[%d].name", list, i)
		switch {
		case name == "":
			d.fault(key, "is missing: want a name of its own")
		case !namePattern.MatchString(name):
			d.fault(key, "= %q: want 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a sign", name)
		case slices.Index(all, name) < i:
			d.fault(key, "= %q: is used before: want a name of its own", name)
		}
	}
}

// check adds to d everything that is wrong with the settings.
func (s *settings) check(d *document) {
	if !namePattern.MatchString(s.Instance) {
		d.fault("instance", "= %q: want 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a sign", s.Instance)
	}
	s.HTTP.check(d)
	if s.Store.URL.IsZero() {
		d.fault("store.url", `= "": want "sqlite:/path/file.db" or "postgres://user@host/database"`)
	} else if text, ok := readable(d, "store.url", s.Store.URL.Secret); ok && !regexp.MustCompile(`^(sqlite:.|postgres://|postgresql://)`).MatchString(text) {
		d.fault("store.url", `: want "sqlite:/path/file.db" or "postgres://user@host/database"`)
	}
	positive(d, "store.retention", s.Store.Retention)
	if _, err := zapcore.ParseLevel(s.Log.Level); err != nil || !slices.Contains([]string{"debug", "info", "warn", "error"}, s.Log.Level) {
		d.fault("log.level", "= %q: want debug, info, warn or error", s.Log.Level)
	}
	if s.Log.Format != "json" && s.Log.Format != "console" {
		d.fault("log.format", "= %q: want json or console", s.Log.Format)
	}
	s.Watch.check(d)
	s.checkAccounts(d)
	s.checkTasks(d)
	s.checkNotifiers(d)
}

func (h *httpSettings) check(d *document) {
	for i, t := range h.Tokens {
		key := fmt.Sprintf("http.tokens[%d]", i)
		if t.Role != "read" && t.Role != "write" {
			d.fault(key+".role", `= %q: want "read" or "write"`, t.Role)
		}
		if value, ok := secret(d, key+".secret", t.Secret); ok && len(value) < 16 {
			d.fault(key+".secret", ": want at least 16 characters, such as 32 random ones")
		}
	}
	var tokenNames []string
	for _, t := range h.Tokens {
		tokenNames = append(tokenNames, t.Name)
	}
	names(d, "http.tokens", tokenNames)
	if (h.TLSCertFile == "") != (h.TLSKeyFile == "") {
		d.fault("http.tls_cert_file", "and http.tls_key_file: want both or neither")
	}
	if path, ok := strings.CutPrefix(h.Listen, "unix:"); ok {
		if !filepath.IsAbs(path) {
			d.fault("http.listen", `= %q: want an absolute path, such as "unix:/run/pushwatch/api.sock"`, h.Listen)
		}
		return
	}
	host, _, err := net.SplitHostPort(h.Listen)
	if err != nil {
		d.fault("http.listen", `= %q: want host:port, such as "127.0.0.1:8465", or "unix:/path"`, h.Listen)
		return
	}
	ip, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && ip.IsLoopback()
	switch {
	case !loopback && len(h.Tokens) == 0:
		d.fault("http.listen", "= %q: reaches beyond this machine: want [[http.tokens]] too, or a loopback address or unix socket", h.Listen)
	case !loopback && h.TLSCertFile == "":
		d.warn("http.listen", "= %q: reaches beyond this machine without TLS: anyone on the way can read the tokens; set http.tls_cert_file and http.tls_key_file", h.Listen)
	}
}

func (w *watchSettings) check(d *document) {
	for key, v := range map[string]setting.Duration{
		"max_staleness": w.MaxStaleness, "min_interval": w.MinInterval, "not_found_grace": w.NotFoundGrace,
		"stalled_after": w.StalledAfter, "overdue_after": w.OverdueAfter, "blind_after": w.BlindAfter, "request_timeout": w.RequestTimeout,
	} {
		positive(d, "watch."+key, v)
	}
	if w.Confirmations < 1 || w.Confirmations > 10 {
		d.fault("watch.confirmations", "= %d: want 1 to 10", w.Confirmations)
	}
	if w.MinInterval > w.MaxStaleness {
		d.fault("watch.min_interval", "= %q: want at most watch.max_staleness, %q", w.MinInterval, w.MaxStaleness)
	}
}

func positive(d *document, key string, v setting.Duration) {
	if v <= 0 {
		d.fault(key, `= %q: want more than zero, such as "30s"`, v)
	}
}

// readable reads a secret; where that fails, it is a fault of key.
func readable(d *document, key string, s setting.Secret) (string, bool) {
	value, err := s.Value()
	if err != nil {
		d.fault(key, ": %v", err)
	}
	return value, err == nil
}

// secret reads a secret that must be set and better stands outside the settings.
func secret(d *document, key string, s setting.Secret) (string, bool) {
	if s.IsPlain() {
		d.warn(key, `stands in the settings themselves: better { file = "…" } or { env = "…" }`)
	}
	return readable(d, key, s)
}

func (s *settings) checkAccounts(d *document) {
	if len(s.Accounts) == 0 {
		d.fault("accounts", "is missing: want at least one [[accounts]] with its secret_id, secret_key and sdk_app_ids")
	}
	var all []string
	owner := make(map[int64]string)
	for i, a := range s.Accounts {
		all = append(all, a.Name)
		key := fmt.Sprintf("accounts[%d]", i)
		a.checkCredentials(d, key)
		if !a.CallbackKey.IsZero() {
			secret(d, key+".callback_key", a.CallbackKey)
		} else if a.RegisterCallbacks {
			d.warn(key+".register_callbacks", "without a callback_key: whoever reaches the callback address can have tasks registered")
		}
		if r := a.RequestsPerSecond; r <= 0 || r > watcher.MaxRequestsPerSecond {
			d.fault(key+".requests_per_second", "= %v: want more than 0 and at most %d, which is the API's limit", r, watcher.MaxRequestsPerSecond)
		}
		_, err := tencent.New(tencent.Config{Endpoint: a.Endpoint, Region: a.Region, Credentials: tencent.Static{SecretID: "x", SecretKey: "x"}})
		for _, fault := range split(err) {
			d.faultIn(key, fault)
		}
		if len(a.SDKAppIDs) == 0 {
			d.fault(key+".sdk_app_ids", "is missing: want the account's applications, such as [1400000001]")
		}
		for _, app := range a.SDKAppIDs {
			switch other, taken := owner[app]; {
			case app <= 0:
				d.fault(key+".sdk_app_ids", "= %d: want a positive number", app)
			case taken:
				d.fault(key+".sdk_app_ids", "= %d: belongs to account %q already: an application belongs to exactly one", app, other)
			}
			owner[app] = a.Name
		}
	}
	names(d, "accounts", all)
}

// checkCredentials checks where an account's keys come from.
func (a *accountSettings) checkCredentials(d *document, key string) {
	static := map[string]setting.Secret{"secret_id": a.SecretID, "secret_key": a.SecretKey, "session_token": a.SessionToken}
	switch a.Credentials {
	case "static":
		for name, value := range static {
			if name != "session_token" || !value.IsZero() {
				secret(d, key+"."+name, value)
			}
		}
	case "cvm-role", "profile":
		for name, value := range static {
			if !value.IsZero() {
				d.fault(key+"."+name, `is set: with credentials = %q the keys come from there`, a.Credentials)
			}
		}
	default:
		d.fault(key+".credentials", `= %q: want "static", "cvm-role" or "profile"`, a.Credentials)
	}
	for name, c := range map[string]struct{ value, kind string }{"role": {a.Role, "cvm-role"}, "profile_file": {a.ProfileFile, "profile"}, "profile": {a.Profile, "profile"}} {
		if c.value != "" && a.Credentials != c.kind {
			d.fault(key+"."+name, `= %q: is for credentials = %q`, c.value, c.kind)
		}
	}
}

// split takes a joined error apart.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (s *settings) checkTasks(d *document) {
	for i, t := range s.Tasks {
		key := fmt.Sprintf("tasks[%d]", i)
		for _, err := range (watcher.Registration{Key: watcher.Key{SDKAppID: t.SDKAppID, TaskID: t.TaskID}, Labels: t.Labels}).Validate() {
			if fault, ok := errors.AsType[*watcher.FieldError](err); ok {
				d.fault(key+"."+fault.Field, "= %#v: want %s", fault.Value, fault.Want)
			}
		}
		if t.SDKAppID > 0 && !slices.ContainsFunc(s.Accounts, func(a accountSettings) bool { return slices.Contains(a.SDKAppIDs, t.SDKAppID) }) {
			d.fault(key+".sdk_app_id", "= %d: belongs to no account: add it to the sdk_app_ids of one", t.SDKAppID)
		}
	}
}

func (s *settings) checkNotifiers(d *document) {
	var all []string
	for i, n := range s.Notifiers {
		all = append(all, n.Name)
		key := fmt.Sprintf("notifiers[%d]", i)
		for _, err := range (notify.Filter{Events: n.Events, Match: n.Match}).Validate() {
			d.faultIn(key, err)
		}
		positive(d, key+".timeout", n.Timeout)
		positive(d, key+".max_age", n.MaxAge)
		if n.MaxInFlight < 1 || n.MaxInFlight > 1000 {
			d.fault(key+".max_in_flight", "= %d: want 1 to 1000", n.MaxInFlight)
		}
		switch n.Type {
		case "log":
			if !n.URL.IsZero() || len(n.Secrets) > 0 {
				d.fault(key+".type", `= "log": takes no url and no secrets`)
			}
		case "webhook":
			n.checkWebhook(d, key)
		case "chat":
			if len(n.Secrets) > 0 {
				d.fault(key+".secrets", `: a chat service takes none: what it needs stands in its url`)
			}
			for _, err := range n.chat().Validate() {
				d.faultIn(key, err)
			}
		default:
			d.fault(key+".type", `= %q: want "webhook", "chat" or "log"`, n.Type)
		}
	}
	names(d, "notifiers", all)
	s.checkFallbacks(d)
	if len(s.Notifiers) == 0 {
		d.warn("notifiers", "is missing: nobody is told of anything; add [[notifiers]]")
	}
}

// checkFallbacks finds fallbacks that are no notifiers, or go in a circle.
func (s *settings) checkFallbacks(d *document) {
	fallbacks := make(map[string]string)
	for _, n := range s.Notifiers {
		fallbacks[n.Name] = n.Fallback
	}
	faults := notify.CheckFallbacks(fallbacks)
	for i, n := range s.Notifiers {
		if err := faults[n.Name]; err != nil {
			d.faultIn(fmt.Sprintf("notifiers[%d]", i), err)
		}
	}
}

func (n *notifierSettings) checkWebhook(d *document, key string) {
	for j, hidden := range n.Secrets {
		if hidden.IsPlain() {
			d.warn(fmt.Sprintf("%s.secrets[%d]", key, j), `stands in the settings themselves: better { file = "…" } or { env = "…" }`)
		}
	}
	for _, cidr := range n.AllowCIDRs {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			d.fault(key+".allow_cidrs", `: %q: want an address range, such as "10.20.0.0/16" or "127.0.0.1/32"`, cidr)
		}
	}
	config := n.webhook()
	for _, err := range config.Validate() {
		d.faultIn(key, err)
	}
	for _, text := range config.Warnings() {
		d.warningIn(key, text)
	}
}
