package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"pushwatch/notify"
	"pushwatch/notify/signing"
	"pushwatch/notify/transport"
)

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
	request, err := http.NewRequest(http.MethodPost, "/", bytes.NewReader(d.Body))
	if err != nil {
		return nil, err
	}
	request.URL, request.Host = target, target.Host

	now := time.Now()
	header := s.header.Clone()
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
	request.Header = header
	if user := target.User; user != nil && header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	return request, nil
}
