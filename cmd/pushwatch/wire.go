package main

import (
	"context"
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

// config returns the settings in the watcher's form.
func (w watchSettings) config(accounts []engine.AccountConfig) engine.Settings {
	abandon := w.AbandonAfter.Std()
	if abandon == 0 { // never, for which the watcher wants a negative value
		abandon = -1
	}
	return engine.Settings{
		Accounts: accounts, MaxStaleness: w.MaxStaleness.Std(), MinInterval: w.MinInterval.Std(), Thrift: w.Thrift.Std(),
		RequestTimeout: w.RequestTimeout.Std(), BlindAfter: w.BlindAfter.Std(),
		Rules: watcher.Rules{
			NotFoundGrace: w.NotFoundGrace.Std(), Confirmations: w.Confirmations,
			StalledAfter: w.StalledAfter.Std(), OverdueAfter: w.OverdueAfter.Std(), AbandonAfter: abandon,
		},
	}
}

// config returns the account in the watcher's form, with its client.
func (a *accountSettings) config(cloud watcher.Cloud) engine.AccountConfig {
	c := engine.AccountConfig{
		Name: a.Name, SDKAppIDs: a.SDKAppIDs, RequestsPerSecond: a.RequestsPerSecond, Cloud: cloud,
		RegisterCallbacks: a.RegisterCallbacks,
	}
	if !a.CallbackKey.IsZero() {
		c.CallbackKey = a.CallbackKey.Value
	}
	return c
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
	if n.Type == "log" {
		out.Sender = notify.Log{Logger: log.Named(n.Name)}
		return out, nil
	}
	if n.Type == "chat" {
		out.MaxInFlight = 1 // people read in order, and services limit the rate
	}
	var err error
	if out.Sender, err = n.sender(); err != nil {
		return notify.Notifier{}, fmt.Errorf("notifier %s: %w", n.Name, err)
	}
	return out, nil
}

// A networkSender sends over the network. Check connects without sending anything.
type networkSender interface {
	notify.Sender
	Check(context.Context) error
}

// sender returns the sender of a notifier that is not a log.
func (n *notifierSettings) sender() (networkSender, error) {
	if n.Type == "chat" {
		return chat.New(n.chat())
	}
	return webhook.New(n.webhook())
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
		if err == nil {
			err = checkToken(value)
		}
		if err != nil {
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
