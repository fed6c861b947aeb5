package webhook

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pushwatch/notify/signing"
	"pushwatch/watcher/setting"
)

const (
	maxExcerpt = 200 // bytes of foreign text in a reason
	// minHidden is the length in bytes from which a part of a request is hidden.
	// Shorter ones guard nothing, and masking them would garble any text.
	minHidden = 6
)

// hideParts returns what masks the secrets of a request in foreign text:
// receivers like to repeat the path in their error pages, and some all headers.
func hideParts(request *http.Request, headers map[string]string) *strings.Replacer {
	u := request.URL
	parts := []string{u.RequestURI(), u.Path, u.RawPath, u.RawQuery, request.Header.Get("Authorization")}
	parts = append(parts, strings.Split(u.Path, "/")...)
	parts = append(parts, strings.Split(u.EscapedPath(), "/")...)
	parts = append(parts, strings.FieldsFunc(u.RawQuery, func(c rune) bool { return c == '&' || c == '=' })...)
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	if password, ok := u.User.Password(); ok {
		parts = append(parts, password)
	}
	if u.User != nil {
		parts = append(parts, u.User.Username(), u.User.String())
	}
	for _, value := range headers {
		parts = append(parts, value)
		parts = append(parts, strings.Fields(value)...) // such as the token behind "Bearer"
	}
	parts = append(parts, strings.Fields(request.Header.Get("Authorization"))...)
	for _, value := range request.Header[signing.HeaderSignature] {
		parts = append(parts, strings.Fields(value)...)
	}

	parts = slices.DeleteFunc(parts, func(part string) bool { return len(part) < minHidden })
	slices.SortFunc(parts, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the first that fits is masked
	var pairs []string
	for _, part := range parts {
		pairs = append(pairs, part, setting.Mask)
	}
	return strings.NewReplacer(pairs...)
}

// excerpt returns the first line of foreign text, fit to be shown: what hide
// masks is masked, what cannot be printed is dropped, and the rest is cut short.
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
	cut := maxExcerpt
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
