package transport

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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

const (
	maxExcerpt = 200 // bytes of foreign text in a reason
	// minHidden is the length in bytes from which a part of a request is masked.
	// Shorter parts protect nothing, and masking them would garble any text.
	minHidden = 6
)

// hide returns a replacer that masks the request's secrets in foreign text: receivers
// often repeat the path in their error pages, and some all headers.
func (r *Request) hide() *strings.Replacer {
	hidden := append(secrets(r.URL), r.Hidden...)
	for name, values := range r.Header {
		if name != "Content-Type" && name != "User-Agent" {
			hidden = append(hidden, values...)
		}
	}
	return mask(hidden, r.Shown)
}

// secrets returns the parts of a URL that may be secret: all but scheme and host.
func secrets(u *url.URL) []string {
	query, _ := url.QueryUnescape(u.RawQuery)
	hidden := []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery, query}
	if u.User != nil {
		password, _ := u.User.Password()
		hidden = append(hidden, u.User.String(), u.User.Username(), password)
	}
	return hidden
}

// mask returns a replacer that masks secrets in foreign text: each hidden text as a whole
// and, because the text may be cut, each of its words, except those in shown.
func mask(hidden, shown []string) *strings.Replacer {
	parts := slices.Clone(hidden)
	for _, whole := range hidden {
		parts = append(parts, strings.FieldsFunc(whole, func(c rune) bool { return strings.ContainsRune(" /?&=:@,;", c) })...)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return len(part) < minHidden || slices.Contains(shown, part) })
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) }) // the replacer takes the first match
	pairs := make([]string, 0, 2*len(parts))
	for _, part := range parts {
		pairs = append(pairs, part, setting.Mask)
	}
	return strings.NewReplacer(pairs...)
}

// excerpt returns the first line of foreign text, shortened, with secrets masked by hide
// and without unprintable characters.
func excerpt(text string, hide *strings.Replacer) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, text)
	if hide != nil {
		text = hide.Replace(text)
	}
	if len(text) <= maxExcerpt {
		return text
	}
	return strings.ToValidUTF8(text[:maxExcerpt], "") + "…" // without a character that is cut
}
