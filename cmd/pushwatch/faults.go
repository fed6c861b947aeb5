package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tencent"
)

// namePattern is the form of the names of accounts, notifiers and tokens. They are used in
// metrics, URLs and ids.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// names checks that the names in a list of tables are well formed and distinct.
func names[T any](d *document, list string, tables []T, nameOf func(T) string) {
	var all []string
	for i, table := range tables {
		name, key := nameOf(table), fmt.Sprintf("%s[%d].name", list, i)
		switch {
		case name == "":
			d.fault(key, "is missing: want a name of its own")
		case !namePattern.MatchString(name):
			d.fault(key, "= %q: want 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a sign", name)
		case slices.Contains(all, name):
			d.fault(key, "= %q: is used before: want a name of its own", name)
		}
		all = append(all, name)
	}
}

// storePattern is the form of a database URL. It excludes ":memory:", which would lose
// everything at a restart.
var storePattern = regexp.MustCompile(`^(sqlite:[^:]|postgres://|postgresql://)`)

// check adds all faults of the settings to d.
func (s *settings) check(d *document) {
	d.require(namePattern.MatchString(s.Instance), "instance", "= %q: want 1 to 64 of A-Z a-z 0-9 _ . -, not starting with a sign", s.Instance)
	s.HTTP.check(d)
	if s.Store.URL.IsZero() {
		d.fault("store.url", `= "": want "sqlite:/path/file.db" or "postgres://user@host/database"`)
	} else if text, ok := readable(d, "store.url", s.Store.URL.Secret); ok && !storePattern.MatchString(text) {
		d.fault("store.url", `: want "sqlite:/path/file.db" or "postgres://user@host/database"`)
	} else if ok && !strings.HasPrefix(text, "sqlite:") {
		if _, err := pgx.ParseConfig(text); err != nil { // err may show the password
			d.fault("store.url", ": not a valid PostgreSQL URL, such as postgres://user@host:5432/database?sslmode=verify-full")
		}
	}
	atLeast(d, "store.retention", s.Store.Retention, time.Minute)
	takeover := s.Store.TakeoverAfter.Std()
	d.require(takeover >= time.Second && takeover <= 5*time.Minute, "store.takeover_after", `= %q: want "1s" to "5m"`, s.Store.TakeoverAfter)
	d.require(slices.Contains([]string{"debug", "info", "warn", "error"}, s.Log.Level), "log.level", "= %q: want debug, info, warn or error", s.Log.Level)
	d.require(s.Log.Format == "json" || s.Log.Format == "console", "log.format", "= %q: want json or console", s.Log.Format)
	s.Watch.check(d)
	s.Heartbeat.check(d)
	s.checkAccounts(d)
	s.checkTasks(d)
	s.checkNotifiers(d)
	s.checkProxy(d)
}

func (h *httpSettings) check(d *document) {
	for i, t := range h.Tokens {
		key := fmt.Sprintf("http.tokens[%d]", i)
		d.require(t.Role == "read" || t.Role == "write", key+".role", `= %q: want "read" or "write"`, t.Role)
		if value, ok := secret(d, key+".secret", t.Secret); ok {
			if err := checkToken(value); err != nil {
				d.fault(key+".secret", ": %v", err)
			}
		}
	}
	names(d, "http.tokens", h.Tokens, func(t tokenSettings) string { return t.Name })
	if (h.TLSCertFile == "") != (h.TLSKeyFile == "") {
		d.fault("http.tls_cert_file", "and http.tls_key_file: want both or neither")
	} else if h.TLSCertFile != "" {
		if _, err := setting.KeyPair(h.TLSCertFile, h.TLSKeyFile); err != nil {
			d.fault("http.tls_cert_file", "and http.tls_key_file: %v", err)
		}
	}
	if path, ok := strings.CutPrefix(h.Listen, "unix:"); ok {
		d.require(filepath.IsAbs(path), "http.listen", `= %q: want an absolute path, such as "unix:/run/pushwatch/api.sock"`, h.Listen)
		return
	}
	host, err := hostOf(h.Listen)
	if err != nil {
		d.fault("http.listen", `= %q: want host:port, such as "127.0.0.1:8465", or "unix:/path"`, h.Listen)
		return
	}
	switch loopback := isLoopback(host); {
	case !loopback && len(h.Tokens) == 0:
		d.fault("http.listen", "= %q: reaches beyond this machine: want [[http.tokens]] too, or a loopback address or unix socket", h.Listen)
	case !loopback && h.TLSCertFile == "":
		d.warn("http.listen", "= %q: reaches beyond this machine without TLS: anyone on the network path can read the tokens; set http.tls_cert_file and http.tls_key_file", h.Listen)
	}
}

// remote reports whether the API listens beyond this machine.
func (h *httpSettings) remote() bool {
	host, err := hostOf(h.Listen)
	return err == nil && !isLoopback(host)
}

func (w *watchSettings) check(d *document) {
	for key, v := range map[string]setting.Duration{
		"max_staleness": w.MaxStaleness, "not_found_grace": w.NotFoundGrace,
		"stalled_after": w.StalledAfter, "overdue_after": w.OverdueAfter, "blind_after": w.BlindAfter,
	} {
		d.require(v > 0, "watch."+key, `= %q: want more than zero, such as "30s"`, v)
	}
	d.require(w.AbandonAfter == 0 || w.AbandonAfter > max(0, w.BlindAfter), "watch.abandon_after",
		`= %q: want "0s" for never, or more than watch.blind_after, %q`, w.AbandonAfter, w.BlindAfter)
	atLeast(d, "watch.min_interval", w.MinInterval, 100*time.Millisecond)
	atLeast(d, "watch.request_timeout", w.RequestTimeout, 100*time.Millisecond)
	d.require(w.Confirmations >= 1 && w.Confirmations <= 10, "watch.confirmations", "= %d: want 1 to 10", w.Confirmations)
	d.require(w.Thrift >= 0 && w.Thrift <= w.MaxStaleness, "watch.thrift",
		`= %q: want "0s" to use the whole quota, or at most watch.max_staleness, %q`, w.Thrift, w.MaxStaleness)
	d.require(w.MinInterval <= w.MaxStaleness, "watch.min_interval", "= %q: want at most watch.max_staleness, %q", w.MinInterval, w.MaxStaleness)
}

func (h *heartbeatSettings) check(d *document) {
	atLeast(d, "heartbeat.every", h.Every, time.Second)
	if h.URL.IsZero() {
		return
	}
	if text, ok := readable(d, "heartbeat.url", h.URL); ok {
		u, err := url.Parse(text) // err would show the URL
		d.require(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", "heartbeat.url", `: want "https://" (or "http://") and a host`)
	}
}

// atLeast refuses durations that are too short to be intended, such as "1ns".
func atLeast(d *document, key string, v setting.Duration, least time.Duration) {
	d.require(v.Std() >= least, key, "= %q: want at least %q", v, setting.Duration(least))
}

// readable reads a secret. If that fails it adds a fault.
func readable(d *document, key string, s setting.Secret) (string, bool) {
	value, err := s.Value()
	if err != nil {
		d.fault(key, ": %v", err)
	}
	return value, err == nil
}

// secret reads a secret that must be set. If it is written in the settings themselves it
// adds a warning.
func secret(d *document, key string, s setting.Secret) (string, bool) {
	warnPlain(d, key, s)
	return readable(d, key, s)
}

func warnPlain(d *document, key string, s setting.Secret) {
	if s.IsPlain() {
		d.warn(key, `is written in the settings themselves: better { file = "…" } or { env = "…" }`)
	}
}

func (s *settings) checkAccounts(d *document) {
	d.require(len(s.Accounts) > 0, "accounts", "is missing: want at least one [[accounts]] with its secret_id, secret_key and sdk_app_ids")
	owner := make(map[int64]string)
	for i, a := range s.Accounts {
		key := fmt.Sprintf("accounts[%d]", i)
		a.checkCredentials(d, key)
		if !a.CallbackKey.IsZero() {
			secret(d, key+".callback_key", a.CallbackKey)
		} else if a.RegisterCallbacks && s.HTTP.remote() {
			d.fault(key+".register_callbacks", "= true: http.listen = %q reaches beyond this machine: want a callback_key too, or anyone who reaches the callback address can register tasks", s.HTTP.Listen)
		} else if a.RegisterCallbacks {
			d.warn(key+".register_callbacks", "= true without a callback_key: anyone who reaches the callback address can register tasks")
		}
		d.require(a.RequestsPerSecond > 0 && a.RequestsPerSecond <= watcher.MaxRequestsPerSecond, key+".requests_per_second",
			"= %v: want more than 0 and at most %d, which is the API's limit", a.RequestsPerSecond, watcher.MaxRequestsPerSecond)
		a.checkClient(d, key)
		d.require(len(a.SDKAppIDs) > 0, key+".sdk_app_ids", "is missing: want the account's applications, such as [1400000001]")
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
	names(d, "accounts", s.Accounts, func(a accountSettings) string { return a.Name })
}

// checkClient checks the settings of an account's client. The environment's proxy is left
// to checkProxy, which reports it once.
func (a *accountSettings) checkClient(d *document, key string) {
	config := a.client()
	config.Credentials = tencent.Keys{SecretID: "x", SecretKey: "x"} // checked elsewhere
	_, err := tencent.New(config)
	for _, fault := range split(err) {
		if !strings.HasPrefix(fault.Error(), "HTTPS_PROXY") {
			d.faultIn(key, fault)
		}
	}
}

// checkProxy checks the environment's proxy if it is used.
func (s *settings) checkProxy(d *document) {
	used := slices.ContainsFunc(s.Accounts, func(a accountSettings) bool {
		return a.ProxyURL.IsZero() && strings.HasPrefix(a.Endpoint, "https:")
	}) || slices.ContainsFunc(s.Notifiers, func(n notifierSettings) bool { return n.Type == "chat" && n.ProxyURL.IsZero() && !n.isMail() })
	if _, err := environmentProxy(); used && err != nil {
		d.faultIn("", err)
	}
}

// checkCredentials checks the settings of an account's keys.
func (a *accountSettings) checkCredentials(d *document, key string) {
	static := map[string]setting.Secret{"secret_id": a.SecretID, "secret_key": a.SecretKey, "session_token": a.SessionToken}
	switch a.Credentials {
	case "static":
		for name, value := range static {
			if name == "session_token" && value.IsZero() {
				continue
			}
			if text, ok := secret(d, key+"."+name, value); ok {
				if err := tencent.CheckKey(text); err != nil {
					d.fault(key+"."+name, ": %v", err)
				}
			}
		}
	case "cvm-role", "profile":
		for name, value := range static {
			d.require(value.IsZero(), key+"."+name, `is set: with credentials = %q the keys come from there`, a.Credentials)
		}
		if a.Credentials == "profile" {
			a.checkProfile(d, key)
		}
	default:
		d.fault(key+".credentials", `= %q: want "static", "cvm-role" or "profile"`, a.Credentials)
	}
	for name, c := range map[string]struct{ value, kind string }{"role": {a.Role, "cvm-role"}, "profile_file": {a.ProfileFile, "profile"}, "profile": {a.Profile, "profile"}} {
		d.require(c.value == "" || a.Credentials == c.kind, key+"."+name, `= %q: is for credentials = %q`, c.value, c.kind)
	}
}

// checkProfile reads the keys of a profile. A missing file at the default path may come
// later, and expired keys may be renewed, so both are only warnings.
func (a *accountSettings) checkProfile(d *document, key string) {
	name := key + ".credentials"
	if a.ProfileFile != "" {
		name = key + ".profile_file"
		if _, ok := readable(d, name, setting.File(a.ProfileFile)); !ok {
			return
		}
	}
	_, err := a.credentials().Keys(context.Background()) // only reads a file
	switch {
	case err == nil:
	case a.ProfileFile == "" && errors.Is(err, fs.ErrNotExist), errors.Is(err, tencent.ErrExpired):
		d.warn(name, ": %v", err)
	default:
		d.fault(name, ": %v", err)
	}
}

// split returns the single errors of joined ones.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, split(err)...)
		}
		return all
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
	for i := range s.Notifiers {
		n := &s.Notifiers[i]
		key := fmt.Sprintf("notifiers[%d]", i)
		for _, err := range (notify.Filter{Events: n.Events, Match: n.Match}).Validate() {
			d.faultIn(key, err)
		}
		n.checkExhausted(d, key)
		atLeast(d, key+".timeout", n.Timeout, 100*time.Millisecond)
		atLeast(d, key+".max_age", n.MaxAge, time.Second)
		d.require(n.MaxInFlight >= 1 && n.MaxInFlight <= 1000, key+".max_in_flight", "= %d: want 1 to 1000", n.MaxInFlight)
		switch n.Type {
		case "log":
			n.checkType(d, key)
		case "webhook":
			n.checkType(d, key)
			n.checkCIDRs(d, key)
			n.checkWebhook(d, key)
		case "chat":
			n.checkType(d, key)
			n.checkCIDRs(d, key)
			for _, err := range n.chat().Validate() {
				d.faultIn(key, err)
			}
		default:
			d.fault(key+".type", `= %q: want "webhook", "chat" or "log"`, n.Type)
		}
	}
	names(d, "notifiers", s.Notifiers, func(n notifierSettings) string { return n.Name })
	s.checkFallbacks(d)
	if len(s.Notifiers) == 0 {
		d.warn("notifiers", "is missing: no event is delivered; add [[notifiers]]")
	}
}

// checkExhausted warns of delivery.exhausted in a notifier's events. It has no effect: the
// event goes to the fallback of the notifier whose delivery is dead, and to log notifiers.
func (n *notifierSettings) checkExhausted(d *document, key string) {
	if n.Type == "log" {
		return
	}
	for i, pattern := range n.Events {
		if strings.HasPrefix(pattern, "delivery.") {
			d.warn(fmt.Sprintf("%s.events[%d]", key, i), "= %q: has no effect here: it goes to log notifiers, and to the fallback of the notifier with the dead letter", pattern)
		}
	}
}

// checkFallbacks adds faults for fallbacks that are not notifiers, and for cycles.
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

// checkType adds faults for settings that have no effect for the notifier's type.
func (n *notifierSettings) checkType(d *document, key string) {
	for field := range reflect.TypeFor[notifierSettings]().Fields() {
		name := key + "." + field.Tag.Get("toml")
		if _, written := d.positions[name]; written && !n.hasEffect(field) {
			d.fault(name, "has no effect for type = %q: leave it out, it is for %s", n.Type, strings.ReplaceAll(field.Tag.Get("for"), " ", " and "))
		}
	}
}

// hasEffect reports whether a setting has an effect for the notifier's type.
func (n *notifierSettings) hasEffect(field reflect.StructField) bool {
	types := strings.Fields(field.Tag.Get("for"))
	return len(types) == 0 || slices.Contains(types, n.Type)
}

func (n *notifierSettings) checkCIDRs(d *document, key string) {
	for _, cidr := range n.AllowCIDRs {
		_, err := netip.ParsePrefix(cidr)
		d.require(err == nil, key+".allow_cidrs", `: %q: want an address range, such as "10.20.0.0/16" or "127.0.0.1/32"`, cidr)
	}
}

func (n *notifierSettings) checkWebhook(d *document, key string) {
	for j, hidden := range n.Secrets {
		warnPlain(d, fmt.Sprintf("%s.secrets[%d]", key, j), hidden)
	}
	config := n.webhook()
	for _, err := range config.Validate() {
		d.faultIn(key, err)
	}
	for _, text := range config.Warnings() {
		setting, advice := splitKey(text)
		d.warn(join(key, setting), "%s", advice)
	}
}
