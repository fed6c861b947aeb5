package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ErrUnknownHost is returned by [Sender.Check]: nothing was tried.
var ErrUnknownHost = errors.New("not tried: the host that the service answers at is not known")

// Check tells whether the service can be reached: it opens a connection to the
// host that it answers at, or to the environment's proxy where the way leads
// through one, and sends nothing over it. [ErrUnknownHost]: neither the service
// nor its URL tells that host. As any error of the package, its own show nothing
// of the URL.
func (s *Sender) Check(ctx context.Context) error {
	target, err := readURL(s.config.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	address := addressOf(target)
	if address == "" {
		return ErrUnknownHost
	}
	failure := "connect to " + serviceName(target) + ": "
	// The proxy is chosen as for a request by TLS, which all but a few services make.
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: address}})
	switch {
	case err != nil:
		return errors.New(failure + "the environment names no valid proxy") // err itself would show its password
	case proxy != nil && serviceName(target) != "smtp":
		failure += "by the proxy of the environment: "
		address = net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), defaultPorts[proxy.Scheme]))
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		return conn.Close()
	}
	for _, cause := range causes {
		if strings.Contains(err.Error(), cause.says) {
			return errors.New(failure + cause.reason)
		}
	}
	return errors.New(failure + "no connection")
}

// own stands for the host in the service's URL.
const own = ""

// hosts are where the services answer. What stands in the place of a host in the
// URLs of some is a secret, and so no other service's may be looked up.
var hosts = map[string]string{
	"bark":       own,
	"discord":    "discord.com",
	"generic":    own,
	"googlechat": own,
	"gotify":     own,
	"hangouts":   own,
	"ifttt":      "maker.ifttt.com",
	"join":       "joinjoaomgcd.appspot.com",
	"lark":       own,
	"matrix":     own,
	"mattermost": own,
	"notifiarr":  "notifiarr.com",
	"ntfy":       own,
	"opsgenie":   own,
	"pagerduty":  own,
	"pushbullet": "api.pushbullet.com",
	"pushover":   "api.pushover.net",
	"rocketchat": own,
	"signal":     own,
	"slack":      "slack.com",
	"smtp":       own,
	"telegram":   "api.telegram.org",
	"wecom":      "qyapi.weixin.qq.com",
	"zulip":      own,
}

// defaultPorts are those of services and proxies that do not answer at 443.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080", "signal": "8080", "smtp": "25"}

// addressOf is the host and port that a service answers at; empty: it is not known.
func addressOf(u *url.URL) string {
	name, scheme, custom := strings.Cut(u.Scheme, "+")
	host, known := hosts[name]
	port := cmp.Or(defaultPorts[name], "443")
	switch {
	case custom:
		host, port = u.Hostname(), cmp.Or(u.Port(), defaultPorts[scheme])
	case name == "teams":
		host = u.Query().Get("host")
	case !known:
		return ""
	case host == own:
		if unencrypted(u) {
			port = cmp.Or(defaultPorts[name], "80")
		}
		host, port = u.Hostname(), cmp.Or(u.Port(), port)
	}
	if host == "" || port == "" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// unencrypted reports whether the URL asks for HTTP without TLS, as the services
// have it: by disabletls=yes, in whatever case, or by scheme=http.
func unencrypted(u *url.URL) bool {
	for key, values := range u.Query() {
		switch key, value := strings.ToLower(key), strings.ToLower(values[0]); {
		case key == "disabletls" && (value == "yes" || value == "true" || value == "1"), key == "scheme" && value == "http":
			return true
		}
	}
	return false
}
