package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"pushwatch/notify/signing"
	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
)

var contentTypes = []string{defaultContentType, "application/cloudevents+json"}

// Validate returns all faults of c, each with the setting's name, its value unless that
// is secret, and what would be right. It reads the files and variables that hold secrets
// and certificates.
func (c Config) Validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if _, err := transport.ReadURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if n := len(c.Secrets); n == 0 || n > signing.MaxKeys {
		fault("secrets: %d are set: want 1 to %d", n, signing.MaxKeys)
	}
	for i, secret := range c.Secrets {
		if _, err := readKey(secret); err != nil {
			fault("secrets[%d]: %w", i, err)
		}
	}
	if c.ContentType != "" && !slices.Contains(contentTypes, c.ContentType) {
		fault("content_type = %q: want one of %q", c.ContentType, contentTypes)
	}
	for _, status := range c.FinalStatus {
		if status < 300 || status > 599 || status == http.StatusGone {
			fault("final_status: %d: want statuses from 300 to 599, except 410, which ends all deliveries anyway", status)
		}
	}
	return slices.Concat(faults, c.Config.Validate(), headerFaults(c.Headers))
}

// Warnings returns what is allowed in c but risky.
func (c Config) Warnings() []string {
	target, err := transport.ReadURL(c.URL)
	if err != nil || target.Scheme == "https" {
		return nil
	}
	return []string{fmt.Sprintf("url: %s is not encrypted: the signature protects the content from changes, not from readers", transport.Origin(target))}
}

// headerFaults returns the faults of the configured headers.
func headerFaults(headers map[string]setting.Secret) []error {
	var faults []error
	seen := make(map[string]bool, len(headers))
	for name, secret := range headers {
		_, err := readHeader(name, secret)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			faults = append(faults, fmt.Errorf("headers: %q is not the name of a header", name))
		case reserved(name):
			faults = append(faults, fmt.Errorf("headers: %q is set by pushwatch or by HTTP itself: want another", name))
		case seen[canonical]:
			faults = append(faults, fmt.Errorf("headers: %q is set twice: case makes no difference", canonical))
		case err != nil:
			faults = append(faults, fmt.Errorf("headers: %w", err))
		}
		seen[canonical] = true
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// readHeader reads the value of a header, which may be empty.
func readHeader(name string, secret setting.Secret) (string, error) {
	if secret.IsZero() {
		return "", nil
	}
	value, err := secret.Value()
	switch {
	case err != nil:
		return "", fmt.Errorf("the value of %q: %w", name, err)
	case !httpguts.ValidHeaderFieldValue(value):
		return "", fmt.Errorf("the value of %q has control characters: want one line of text", name)
	}
	return value, nil
}

// reserved reports whether the settings must not set a header: it is part of the wire
// format, belongs to the connection (RFC 9110, section 7.6.1), or would seem to describe
// the event without being signed, as CloudEvents' ce-* do.
func reserved(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "host", "user-agent", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
		"idempotency-key", "x-idempotency-key":
		return true
	}
	return slices.ContainsFunc([]string{"content-", "webhook-", "ce-", "proxy-"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// readKey reads a signing secret.
func readKey(secret setting.Secret) (signing.Key, error) {
	text, err := secret.Value()
	if err != nil {
		return signing.Key{}, err
	}
	key, err := signing.ParseKey(text)
	if err != nil {
		return signing.Key{}, fmt.Errorf("%s: %w", secret.Where(), err)
	}
	return key, nil
}
