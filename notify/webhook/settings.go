package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"pushwatch/notify/signing"
	"pushwatch/watcher/setting"
)

var contentTypes = []string{defaultContentType, "application/cloudevents+json"}

// defaultPorts also lists the schemes that are known.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// Validate returns all that is wrong with c, each with the setting's name, its
// value unless that is secret, and what would be right. Files and variables that
// secrets are kept in are read, those of certificates too.
func (c Config) Validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if _, err := readURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if !c.ProxyURL.IsZero() {
		if _, err := readURL(c.ProxyURL); err != nil {
			fault("proxy_url: %w", err)
		}
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
	if c.Timeout < 0 {
		fault(`timeout = "%s": want more than zero`, c.Timeout)
	}
	if c.MaxInFlight < 0 {
		fault("max_in_flight = %d: want at least 1", c.MaxInFlight)
	}
	for _, prefix := range c.AllowCIDRs {
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			fault(`allow_cidrs: %q: want address ranges such as "10.20.0.0/16" or "fd12:3456::/32"`, prefix)
		}
	}
	for _, status := range c.FinalStatus {
		if status < 300 || status > 599 || status == http.StatusGone {
			fault("final_status: %d: want statuses from 300 to 599, other than 410, which ends all deliveries as it is", status)
		}
	}
	authorities, err := c.authorities()
	if err == nil {
		_, err = c.tls(authorities)
	}
	if err != nil {
		faults = append(faults, err)
	}
	return append(faults, headerFaults(c.Headers)...)
}

// Warnings returns what is allowed in c but should be known.
func (c Config) Warnings() []string {
	target, err := readURL(c.URL)
	if err != nil || target.Scheme == "https" {
		return nil
	}
	return []string{fmt.Sprintf("url: %s is not encrypted: the signature guards what is said, not who reads it", origin(target))}
}

// headerFaults checks the headers that are sent along.
func headerFaults(headers map[string]setting.Secret) []error {
	var faults []error
	seen := make(map[string]bool, len(headers))
	for name, secret := range headers {
		_, err := readHeader(name, secret)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			faults = append(faults, fmt.Errorf("headers: %q is not the name of a header", name))
		case reserved(name):
			faults = append(faults, fmt.Errorf("headers: %q is set by pushwatch or by HTTP itself: want another", name))
		case seen[canonical]:
			faults = append(faults, fmt.Errorf("headers: %q stands there twice: case makes no difference", canonical))
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
	case strings.ContainsFunc(value, isControl):
		return "", fmt.Errorf("the value of %q has control characters: want one line of text", name)
	}
	return value, nil
}

// isToken tells whether name can name a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// reserved tells whether a header is not for the settings to set: it is signed
// or promised, belongs to the connection (RFC 9110, section 7.6.1), or would
// seem to describe the event without being signed, as CloudEvents' ce-* do.
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

// readURL reads a URL of a receiver or proxy. Its errors show no more of it than
// scheme and host; those of package net/url would show parts of it.
func readURL(secret setting.Secret) (*url.URL, error) {
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
		return nil, fmt.Errorf(`%s: %s: want the host in ASCII ("xn--…")`, secret.Where(), origin(u))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%s: %s: want a port from 1 to 65535", secret.Where(), origin(u))
		}
	}
	return u, nil
}

// origin is the part of a URL that may be shown.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

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

// authorities reads CAFile; nil where none is set.
func (c Config) authorities() ([]byte, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	return pem, nil
}

// tls returns how connections are secured, with what stands in CAFile.
func (c Config) tls(authorities []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("ca_file = %q: no certificate in it: want PEM", c.CAFile)
		}
	}
	if (c.ClientCertFile == "") != (c.ClientKeyFile == "") {
		return nil, errors.New("client_cert_file and client_key_file: only one is set: want both or none")
	}
	if c.ClientCertFile != "" {
		if _, err := c.clientCertificate(nil); err != nil {
			return nil, err
		}
		config.GetClientCertificate = c.clientCertificate
	}
	return config, nil
}

// clientCertificate reads the certificate that the receiver asks for. A
// handshake costs far more than that, and so a new file needs no restart.
func (c Config) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(c.ClientCertFile, c.ClientKeyFile)
	if err != nil {
		return nil, settingsError{fmt.Errorf("client_cert_file, client_key_file: %w", err)}
	}
	return &certificate, nil
}
