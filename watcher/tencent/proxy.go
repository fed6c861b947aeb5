package tencent

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
)

const wantProxy = "want a URL such as http://proxy.example:3128 (or https, socks5)"

// Proxy returns the proxy that a client of c uses; nil: none. The URL may have a password. The
// error names the invalid setting or variable, not its value.
func (c Config) Proxy() (*url.URL, error) {
	endpoint, err := parseEndpoint(cmp.Or(c.Endpoint, DefaultEndpoint))
	if err != nil {
		return nil, err
	}
	if !c.ProxyURL.IsZero() {
		return c.setProxy(nil)
	}
	return environmentProxy(endpoint)
}

// setProxy reads ProxyURL.
func (c Config) setProxy(*http.Request) (*url.URL, error) {
	text, err := c.ProxyURL.Value()
	if err != nil {
		return nil, fmt.Errorf("proxy_url: %w", err)
	}
	proxy, err := parseProxy(text)
	if err != nil {
		return nil, fmt.Errorf("proxy_url: %s: %w", c.ProxyURL.Where(), err)
	}
	return proxy, nil
}

// environmentProxy returns the proxy of HTTPS_PROXY and NO_PROXY for an https endpoint that is
// not loopback. An invalid URL is an error, whereas net/http would connect directly.
func environmentProxy(endpoint *url.URL) (*url.URL, error) {
	if endpoint.Scheme != "https" {
		return nil, nil
	}
	if text := cmp.Or(os.Getenv("HTTPS_PROXY"), os.Getenv("https_proxy")); text != "" {
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		if _, err := parseProxy(text); err != nil {
			return nil, fmt.Errorf("HTTPS_PROXY: %w", err)
		}
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: endpoint})
	if err != nil { // its text would show the proxy's password
		return nil, errors.New("HTTPS_PROXY: " + wantProxy)
	}
	return proxy, nil
}

// parseProxy parses a proxy's URL. Its errors do not quote the text, which may have a password.
// It is strict, since an unescaped "#" or "/" in a password cuts off the host.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL: " + wantProxy + "; characters such as % and # in a password are written %25 and %23")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, errors.New(wantProxy)
	}
	bare := url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}
	if u.Hostname() == "" || bare.String() != strings.TrimSuffix(u.String(), "/") {
		return nil, errors.New("has no host, or more than a scheme, user and host: " + wantProxy)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("its port is not a number from 1 to 65535")
		}
	}
	return &bare, nil
}

// checkConnect checks a proxy's answer to CONNECT. The error leaves out its status text, which
// may repeat the password.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy refuses to connect: http %d", response.StatusCode)
	}
	return nil
}

// proxySecrets returns the forms in which a proxy may repeat its password.
func (t *transport) proxySecrets() []string {
	if t.http.Proxy == nil {
		return nil
	}
	proxy, err := t.http.Proxy(nil)
	if err != nil || proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	_, encoded, _ := strings.Cut(proxy.User.String(), ":")
	basic := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
	return []string{basic, password, encoded}
}
