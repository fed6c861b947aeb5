package main

import (
	"fmt"
	"io"
	"net/url"

	"pushwatch/notify/chat"
	"pushwatch/watcher/tencent"
)

// printProxies prints the proxy of each account and notifier, without its password.
func (s *settings) printProxies(out io.Writer) {
	for _, a := range s.Accounts {
		proxy, err := a.client().Proxy()
		source := "proxy_url"
		if a.ProxyURL.IsZero() {
			source = "HTTPS_PROXY"
		}
		fmt.Fprintf(out, "account %s: %s\n", a.Name, route(proxy, source, err))
	}
	for _, n := range s.Notifiers {
		switch {
		case n.Type == "log":
		case !n.ProxyURL.IsZero():
			text, err := n.ProxyURL.Value()
			var proxy *url.URL
			if err == nil {
				proxy, err = url.Parse(text)
			}
			fmt.Fprintf(out, "notifier %s: %s\n", n.Name, route(proxy, "proxy_url", err))
		case n.Type == "chat" && !n.isMail(): // mail uses no proxy from the environment
			proxy, err := environmentProxy()
			fmt.Fprintf(out, "notifier %s: %s\n", n.Name, route(proxy, "HTTPS_PROXY, unless NO_PROXY names the service", err))
		default:
			fmt.Fprintf(out, "notifier %s: %s\n", n.Name, route(nil, "", nil))
		}
	}
}

// route describes a proxy. It leaves out err, which may show the proxy's password.
func route(proxy *url.URL, source string, err error) string {
	switch {
	case err != nil:
		return "the proxy setting cannot be read"
	case proxy == nil:
		return "no proxy"
	default:
		return fmt.Sprintf("proxy %s (%s)", maskPassword(proxy), source)
	}
}

// environmentProxy returns the environment's proxy for https; nil: none.
func environmentProxy() (*url.URL, error) { return (tencent.Config{}).Proxy() }

// isMail reports whether a chat notifier sends mail.
func (n *notifierSettings) isMail() bool {
	sender, err := chat.New(n.chat())
	return err == nil && sender.Target() == "smtp"
}
