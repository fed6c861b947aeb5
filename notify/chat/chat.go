// Package chat sends people short texts of events, by chat, mail or push message.
//
// Where to is a URL that names the service. Three kinds of code take it there:
//
//   - Slack, Teams, Discord, Telegram, WeCom, DingTalk, Lark (Feishu) and Google Chat
//     have a row each in the table services: which URLs are theirs, what is posted, and
//     which answer means what. A service's own https URL is taken as it is.
//   - "smtp://…" is mail.
//   - Every other service is written to by the library shoutrrr, whose URLs
//     https://shoutrrr.nickfedor.com describes.
//
// All of them go through package transport, with its guard of addresses, proxy,
// certificate authorities and limits. A text counts as delivered when the answer is the
// success that the service documents: a status alone does not do, since many services
// refuse with 200.
//
// One notifier writes to one recipient. A URL that names several is refused: when one
// of them refuses a text, a retry would send it to the others again.
//
// The whole URL is a secret: no error shows more of it than the service's name.
package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"pushwatch/notify"
	"pushwatch/notify/transport"
	"pushwatch/watcher/setting"
)

// Config describes one place to write to. A zero field is its default.
type Config struct {
	transport.Config
	Name string // of the notifier
	// URL is where to write to. It is read at each attempt.
	URL setting.Secret
	// Language is one of [Languages]; default [DefaultLanguage].
	Language string
}

// Validate returns all that is wrong with c, each with the setting's name and what
// would be right. Files and variables are read; nothing is sent.
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

// A Sender writes to one place. It is a [notify.Sender].
type Sender struct {
	config    Config
	language  *language
	transport *transport.Transport

	mu   sync.Mutex
	last *place // the last that was written to
}

// A place is what a URL leads to.
type place struct {
	url string
	destination
}

// A destination is somebody that a service reaches.
type destination interface {
	// name is the service's.
	name() string
	// style is how the service takes texts.
	style() style
	// send makes one attempt, as [notify.Sender] has it.
	send(ctx context.Context, t *transport.Transport, m message) (status int, err error)
	// check reports whether the service can be reached, without writing to anybody.
	check(ctx context.Context, t *transport.Transport) error
}

// A message is an event as a service takes it.
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

// Target returns what may be shown of where the sender writes to: the service's
// name, such as "slack". It is empty while the URL cannot be read.
func (s *Sender) Target() string {
	p, err := s.place()
	if err != nil {
		return ""
	}
	return p.name()
}

// Send implements [notify.Sender].
func (s *Sender) Send(ctx context.Context, d *notify.Delivery) (status int, err error) {
	p, err := s.place()
	if err != nil {
		return 0, transport.SettingsError(err)
	}
	style := p.style()
	text, err := s.language.text(d.Body, &style)
	if err != nil {
		return 0, &notify.SendError{Reason: err.Error(), Final: true, Err: err}
	}
	return p.send(ctx, s.transport, message{id: d.EventID, text: text})
}

// Check reports whether the service can be reached, under the rules of an attempt.
// Nothing is written to anybody. [ErrUnknownHost]: neither the service nor its URL
// says which host that is.
func (s *Sender) Check(ctx context.Context) error {
	p, err := s.place()
	if err != nil {
		return transport.SettingsError(err)
	}
	return p.check(ctx, s.transport)
}

// place reads the URL. What it leads to is kept while the URL stays the same: some
// services have to be logged in to.
func (s *Sender) place() (*place, error) {
	text, err := s.config.URL.Value()
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.url != text {
		to, err := readURL(s.config.URL)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		s.last = &place{url: text, destination: to}
	}
	return s.last, nil
}

// words are what may be secret of a service's URL: the whole and each part of it.
func words(text string) []string {
	return append([]string{text}, strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("/?&=:@,;#%+", c) })...)
}

// serviceNames are all that a URL can name.
func serviceNames() []string {
	names := append(libraryNames(), mailName)
	for _, s := range services {
		names = append(names, s.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
