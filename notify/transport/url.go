package transport

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"pushwatch/watcher/setting"
)

// defaultPorts also lists the schemes that are known.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// ReadURL reads the URL of a receiver or proxy, http or https. Its errors show nothing
// but scheme and host; those of package net/url would show more.
func ReadURL(secret setting.Secret) (*url.URL, error) {
	text, err := secret.Value()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf(`%s: not a URL: want one such as "https://classroom.example/hooks"`, secret.Where())
	}
	_, known := defaultPorts[u.Scheme]
	switch {
	case !known || u.Hostname() == "":
		return nil, fmt.Errorf(`%s: want "https://" (or "http://") and a host`, secret.Where())
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c > '~' }):
		return nil, fmt.Errorf(`%s: %s: want the host in ASCII ("xn--…")`, secret.Where(), Origin(u))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%s: %s: want a port from 1 to 65535", secret.Where(), Origin(u))
		}
	}
	return u, nil
}

// Origin returns the part of a URL that is not secret: scheme, host and port.
func Origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
