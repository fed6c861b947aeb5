// Package chat sends people short texts about events, by chat, mail or push message.
//
// The destination is a URL that names the service. There are three ways to send:
//
//   - Slack, Teams, Discord, Telegram, WeCom, DingTalk, Lark (Feishu) and Google Chat
//     have an entry each in the table services: which URLs are theirs, what is posted,
//     and what their answers mean. The https URL that such a service issues is accepted.
//   - "smtp://…" is mail.
//   - All other services use the library shoutrrr, whose URLs
//     https://shoutrrr.nickfedor.com describes.
//
// All of them use package transport, with its address guard, proxy, certificate
// authorities and limits. A text counts as delivered when the answer is the success that
// the service documents; a status is not enough, because many services refuse with 200.
//
// A notifier writes to one recipient. A URL that names several is refused: if one of them
// refused a text, a retry would send it to the others again.
//
// The whole URL is a secret: no error shows more of it than the service's name.
package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
)

// Config describes one destination. A zero field is its default.
type Config struct {
	transport.Config
	Name string // of the notifier
	// URL names the service and the recipient. It is read at each attempt.
	URL setting.Secret
	// Language is one of [Languages]; default [DefaultLanguage].
	Language string
}

// Validate returns all faults of c, each with the setting's name and what would be right.
// It reads files and variables, and sends nothing.
func (c Config) Validate() []error {
	faults := c.Config.Validate()
	if _, err := readURL(c.URL); err != nil {
		faults = append(faults, fmt.Errorf("url: %w", err))
	}
	if c.Language != "" && languages[c.Language] == nil {
		faults = append(faults, fmt.Errorf("language = %q: want one of %q", c.Language, Languages()))
	}
	return faults
}

// A Sender writes to one destination. It is a [notify.Sender].
type Sender struct {
	config    Config
	language  *language
	transport *transport.Transport

	mu      sync.Mutex
	to      destination
	lastURL string // of to
}

// A destination is one recipient at a service.
type destination interface {
	// name returns the service's name.
	name() string
	// style returns how the service accepts texts.
	style() style
	// send makes one attempt, as in [notify.Sender].
	send(ctx context.Context, t *transport.Transport, m message) (status int, err error)
	// check reports whether the service can be reached. It sends no text.
	check(ctx context.Context, t *transport.Transport) error
}

// A message is the text of an event for a service.
type message struct {
	id   string // of the event
	text string
}

var _ notify.Sender = (*Sender)(nil)

// New returns a sender for c, or all faults that c has.
func New(c Config) (*Sender, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, fmt.Errorf("chat %q: %w", c.Name, errors.Join(faults...))
	}
	c.Environment = true // most services are on the internet, where a proxy may be the only way
	carrier, err := transport.New(c.Config)
	if err != nil {
		return nil, fmt.Errorf("chat %q: %w", c.Name, err)
	}
	return &Sender{config: c, language: languages[cmp.Or(c.Language, DefaultLanguage)], transport: carrier}, nil
}

// Target returns the service's name, such as "slack": the part of the URL that is not
// secret. It is empty while the URL cannot be read.
func (s *Sender) Target() string {
	to, err := s.destination()
	if err != nil {
		return ""
	}
	return to.name()
}

// Send implements [notify.Sender].
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	to, err := s.destination()
	if err != nil {
		return 0, transport.SettingsError(err)
	}
	style := to.style()
	text, err := s.language.text(d.Body, &style)
	if err != nil {
		return 0, &notify.SendError{Reason: err.Error(), Final: true, Err: err}
	}
	return to.send(ctx, s.transport, message{id: d.EventID, text: text})
}

// Check reports whether the service can be reached, under the rules of an attempt. It
// sends no text. The error is [ErrUnknownHost] if neither the service nor its URL names
// a host.
func (s *Sender) Check(ctx context.Context) error {
	to, err := s.destination()
	if err != nil {
		return transport.SettingsError(err)
	}
	return to.check(ctx, s.transport)
}

// destination reads the URL. The destination is kept while the URL stays the same,
// because some services need a login.
func (s *Sender) destination() (destination, error) {
	text, err := s.config.URL.Value()
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil || s.lastURL != text {
		to, err := readURL(s.config.URL)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		s.to, s.lastURL = to, text
	}
	return s.to, nil
}

// words returns what may be secret in a service's URL: the whole and each part of it.
func words(text string) []string {
	return append([]string{text}, strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("/?&=:@,;#%+", c) })...)
}

// serviceNames returns the names of all services, sorted.
func serviceNames() []string {
	names := slices.AppendSeq([]string{mailName}, maps.Keys(libraryServices))
	for _, s := range services {
		names = append(names, s.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
