// Package webhook sends events to a receiver over HTTP, signed as Standard Webhooks
// specifies.
//
// A [Sender] makes single attempts and returns their result; package notify decides when
// the next one is due. Package transport sends the request and limits what a hostile or
// broken receiver can do. URL, signing secrets and headers are read at each attempt.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/signing"
	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
)

const defaultContentType = "application/json"

// Config describes one receiver. A zero field is its default.
type Config struct {
	transport.Config
	Name string // of the notifier

	// URL is where to post: https, or http within a trusted network. A user and
	// password in it are sent as basic authentication.
	URL setting.Secret
	// Secrets sign each attempt, at most [signing.MaxKeys] of them, in the form that
	// [signing.ParseKey] reads. The first is the current one; the others sign too, so
	// that a receiver can move from one to the next.
	Secrets []setting.Secret

	// ContentType is "application/json" (the default) or
	// "application/cloudevents+json". The body is valid as both.
	ContentType string
	// Headers are sent with each attempt. None may be one that pushwatch or HTTP itself
	// sets. An Authorization here takes precedence over a user in URL.
	Headers map[string]setting.Secret

	// FinalStatus lists the statuses after which a delivery is not retried.
	FinalStatus []int
}

// A Sender sends to one receiver. It is a [notify.Sender].
type Sender struct {
	config    Config
	transport *transport.Transport
}

var _ notify.Sender = (*Sender)(nil)

// New returns a sender for c, or all faults that c has.
func New(c Config) (*Sender, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, errors.Join(faults...))
	}
	carrier, err := transport.New(c.Config)
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", c.Name, err)
	}
	return &Sender{config: c, transport: carrier}, nil
}

// Target returns the part of the URL that is not secret, such as
// "https://classroom.example". It is empty while the URL cannot be read.
func (s *Sender) Target() string {
	target, err := s.target()
	if err != nil {
		return ""
	}
	return transport.Origin(target)
}

// target reads the URL.
func (s *Sender) target() (*url.URL, error) {
	target, err := transport.ReadURL(s.config.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return target, nil
}

// keys reads the signing secrets.
func (s *Sender) keys() ([]signing.Key, error) {
	keys := make([]signing.Key, len(s.config.Secrets))
	for i, secret := range s.config.Secrets {
		var err error
		if keys[i], err = readKey(secret); err != nil {
			return nil, fmt.Errorf("secrets[%d]: %w", i, err)
		}
	}
	return keys, nil
}

// Check reports whether the receiver can be reached and the signing secrets can be read;
// see [transport.Transport.Check]. The error is a [*notify.SendError].
func (s *Sender) Check(ctx context.Context) error {
	target, err := s.target()
	if err == nil {
		_, err = s.keys()
	}
	if err != nil {
		return transport.SettingsError(err)
	}
	return s.transport.Check(ctx, target, "")
}

// userAgent never changes within version 1 of the wire format: receivers allow it by
// name in their firewalls.
const userAgent = "pushwatch-webhook/1"

// bodyTimeout bounds the reading of an answer's body.
const bodyTimeout = time.Second

// Send implements [notify.Sender].
//
// The status decides. The body is then read for at most another second and up to 16 KiB:
// for the reason of a failure, and so that the connection can be reused.
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	if !signing.ValidID(d.EventID) {
		return 0, &notify.SendError{Reason: fmt.Sprintf("event id %q cannot be signed", d.EventID), Final: true}
	}
	request, err := s.request(d)
	if err != nil {
		return 0, transport.SettingsError(err)
	}
	answer, err := s.transport.Do(ctx, &transport.Request{Request: request, BodyTimeout: bodyTimeout})
	if err != nil {
		return 0, err
	}
	if answer.Status >= 200 && answer.Status <= 299 {
		return answer.Status, nil
	}
	failed := answer.Failure()
	failed.Gone = answer.Status == http.StatusGone
	failed.Final = slices.Contains(s.config.FinalStatus, answer.Status)
	return answer.Status, failed
}

// request returns the next attempt of d, signed now.
func (s *Sender) request(d *notify.Delivery) (*http.Request, error) {
	target, err := s.target()
	if err != nil {
		return nil, err
	}
	keys, err := s.keys()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	header := http.Header{"Content-Type": {cmp.Or(s.config.ContentType, defaultContentType)}, "User-Agent": {userAgent}}
	for name, secret := range s.config.Headers {
		value, err := readHeader(name, secret)
		if err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		header.Set(name, value)
	}
	// Set bypassing http.Header.Set, so that HTTP/1 sends them in lower case too.
	header[signing.HeaderID] = []string{d.EventID}
	header[signing.HeaderTimestamp] = []string{strconv.FormatInt(now.Unix(), 10)}
	header[signing.HeaderSignature] = []string{signing.Sign(keys, d.EventID, now, d.Body)}
	header[signing.HeaderAttempt] = []string{strconv.Itoa(d.Requests + 1)}
	// A header without values is not sent. This one lets net/http repeat the request
	// if a kept connection turns out to be closed.
	header["Idempotency-Key"] = nil
	request := transport.Post(target, header, d.Body)
	if user := target.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	return request, nil
}
