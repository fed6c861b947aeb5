package main

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"pushwatch/cmd/pushwatch/internal/web"
	"pushwatch/notify"
	"pushwatch/notify/chat"
	"pushwatch/notify/transport"
	"pushwatch/notify/webhook"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
	"pushwatch/watcher/tencent"
)

// config returns the settings in the watcher's form, without the accounts.
func (w watchSettings) config() engine.Settings {
	abandon := w.AbandonAfter.Std()
	if abandon == 0 { // never, for which the watcher wants a negative value
		abandon = -1
	}
	return engine.Settings{
		MaxStaleness: w.MaxStaleness.Std(), MinInterval: w.MinInterval.Std(), Thrift: w.Thrift.Std(),
		RequestTimeout: w.RequestTimeout.Std(), BlindAfter: w.BlindAfter.Std(),
		Rules: watcher.Rules{
			NotFoundGrace: w.NotFoundGrace.Std(), Confirmations: w.Confirmations,
			StalledAfter: w.StalledAfter.Std(), OverdueAfter: w.OverdueAfter.Std(), AbandonAfter: abandon,
		},
	}
}

// account returns the settings of an account; zero if there is none of that name.
func (s *settings) account(name string) accountSettings {
	for _, a := range s.Accounts {
		if a.Name == name {
			return a
		}
	}
	return accountSettings{}
}

// notifier returns the settings of a notifier; zero if there is none of that name.
func (s *settings) notifier(name string) notifierSettings {
	for _, n := range s.Notifiers {
		if n.Name == name {
			return n
		}
	}
	return notifierSettings{}
}

// config returns the account in the watcher's form, with a client made from client.
func (a *accountSettings) config(client tencent.Config) (engine.AccountConfig, error) {
	cloud, err := a.cloud(client)
	if err != nil {
		return engine.AccountConfig{}, err
	}
	c := engine.AccountConfig{
		Name: a.Name, SDKAppIDs: a.SDKAppIDs, RequestsPerSecond: a.RequestsPerSecond, Cloud: cloud,
		RegisterCallbacks: a.RegisterCallbacks,
	}
	if !a.CallbackKey.IsZero() {
		c.CallbackKey = a.CallbackKey.Value
	}
	return c, nil
}

// cloud makes the account's client.
func (a *accountSettings) cloud(config tencent.Config) (watcher.Cloud, error) {
	client, err := tencent.New(config)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", a.Name, err)
	}
	return client, nil
}

// client returns the configuration of the account's client.
func (a *accountSettings) client() tencent.Config {
	return tencent.Config{Endpoint: a.Endpoint, Region: a.Region, ProxyURL: a.ProxyURL, CAFile: a.CAFile, Credentials: a.credentials()}
}

// credentials returns the source of the account's keys.
func (a *accountSettings) credentials() tencent.Credentials {
	switch a.Credentials {
	case "cvm-role":
		return &tencent.Role{Name: a.Role}
	case "profile":
		return tencent.Profile{Path: a.ProfileFile, Section: a.Profile}
	default:
		return tencent.Secrets{ID: a.SecretID, Key: a.SecretKey, Token: a.SessionToken}
	}
}

// config returns the notifier in the dispatcher's form, with its sender.
func (n *notifierSettings) config(log *zap.Logger) (notify.Notifier, error) {
	out := notify.Notifier{
		Name: n.Name, Type: n.Type, Filter: notify.Filter{Events: n.Events, Match: n.Match},
		Timeout: n.Timeout.Std(), MaxInFlight: n.MaxInFlight, MaxAge: n.MaxAge.Std(), Fallback: n.Fallback,
	}
	var err error
	switch n.Type {
	case "log":
		out.Sender = notify.Log{Logger: log.Named(n.Name)}
	case "webhook":
		out.Sender, err = webhook.New(n.webhook())
	case "chat":
		out.Sender, err = chat.New(n.chat())
		out.MaxInFlight = 1 // people read in order, and services limit the rate
	}
	if err != nil {
		return notify.Notifier{}, fmt.Errorf("notifier %s: %w", n.Name, err)
	}
	return out, nil
}

// webhook returns the configuration of the notifier's webhook sender.
func (n *notifierSettings) webhook() webhook.Config {
	return webhook.Config{
		Name: n.Name, URL: n.URL, Secrets: n.Secrets, ContentType: n.ContentType, Headers: n.Headers,
		Config: n.transport(), FinalStatus: n.FinalStatus,
	}
}

// transport returns how the notifier's receiver is reached.
func (n *notifierSettings) transport() transport.Config {
	c := transport.Config{
		Timeout: n.Timeout.Std(), MaxInFlight: n.MaxInFlight, CAFile: n.CAFile,
		ClientCertFile: n.ClientCertFile, ClientKeyFile: n.ClientKeyFile, ProxyURL: n.ProxyURL,
	}
	for _, cidr := range n.AllowCIDRs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil { // checkCIDRs reports faults
			c.AllowCIDRs = append(c.AllowCIDRs, prefix)
		}
	}
	return c
}

// chat returns the configuration of the notifier's chat sender.
func (n *notifierSettings) chat() chat.Config {
	return chat.Config{Name: n.Name, URL: n.URL, Language: n.Language, Config: n.transport()}
}

// minToken is the shortest token, in bytes.
const minToken = 16

// checkToken returns why value cannot be a token: too short, or not valid in a header.
func checkToken(value string) error {
	if len(value) < minToken {
		return fmt.Errorf("want at least %d characters, such as 32 random ones", minToken)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return errors.New("has a line break or another character that is not allowed in a header: want one line of text")
	}
	return nil
}

// tokens returns the API's tokens.
func (s *settings) tokens() ([]web.Token, error) {
	var all []web.Token
	for _, t := range s.HTTP.Tokens {
		value, err := t.Secret.Value()
		if err != nil {
			return nil, fmt.Errorf("http.tokens %s: %w", t.Name, err)
		}
		if err := checkToken(value); err != nil {
			return nil, fmt.Errorf("http.tokens %s: %w", t.Name, err)
		}
		all = append(all, web.NewToken(t.Name, value, web.Role(t.Role)))
	}
	return all, nil
}

// buildInfo returns the metric with the version.
func buildInfo() prometheus.Collector {
	release, commit := build()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pushwatch_build_info", Help: "Always 1; its labels are the version, the commit and the Go version."}, []string{"version", "commit", "go"})
	g.WithLabelValues(release, commit, runtime.Version()).Set(1)
	return g
}
