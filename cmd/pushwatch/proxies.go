package main

import (
	"fmt"
	"io"
	"net/url"

	"pushwatch/notify/chat"
	"pushwatch/watcher/tencent"
)

// printProxies writes how each account and notifier reaches its server: directly or
// through which proxy, without its password.
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
		case n.Type == "chat" && !n.isMail(): // which goes by no proxy of the environment
			proxy, err := environmentProxy()
			fmt.Fprintf(out, "notifier %s: %s\n", n.Name, route(proxy, "HTTPS_PROXY, unless NO_PROXY names the service", err))
		default:
			fmt.Fprintf(out, "notifier %s: %s\n", n.Name, route(nil, "", nil))
		}
	}
}

// route says in words how requests go. The error of a proxy may show its password.
func route(proxy *url.URL, source string, err error) string {
	switch {
	case err != nil:
		return "the proxy is not known"
	case proxy == nil:
		return "no proxy"
	default:
		return fmt.Sprintf("proxy %s (%s)", maskPassword(proxy), source)
	}
}

// environmentProxy is the environment's proxy for https; nil: none.
func environmentProxy() (*url.URL, error) { return (tencent.Config{}).Proxy() }

// isMail reports whether a chat notifier writes mail.
func (n *notifierSettings) isMail() bool {
	sender, err := chat.New(n.chat())
	return err == nil && sender.Target() == "smtp"
}
