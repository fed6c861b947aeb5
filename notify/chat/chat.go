// Package chat tells people of events: one short text each, by chat, mail or
// push message.
//
// Where to is a service URL of shoutrrr, such as
// "slack://hook:T0…-B0…-x…@webhook" or "telegram://token@telegram?chats=@oncall".
// https://shoutrrr.nickfedor.com describes the form of each service; it knows
// WeCom, Lark, Teams, Discord, Matrix, ntfy, mail and others, and posts to any
// webhook by "generic+https://…". The whole URL is taken for a secret: no error
// shows more of it than the service's name, nor anything that a service answered,
// since some repeat the URL, and most take it apart in ways of their own.
//
// The library offers less than package webhook does, and what follows from it is
// this:
//
//   - It takes no context. An attempt whose time is up is left to itself. Only
//     one runs at a time, so that at most one per notifier is ever left behind,
//     and the next waits for it. Some services bound themselves to about ten
//     seconds; those that use [http.DefaultClient] are bounded as the process has
//     set that client. A message given up in this way may still arrive, and
//     arrives again with the next attempt.
//   - Most services use the environment's proxy (HTTPS_PROXY and the like) and
//     follow redirects, and some read all of an answer, whatever its length. No
//     address is refused: the service's URL is the operator's own choice.
//   - The answer's header is not seen, and so no Retry-After is.
package chat

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"pushwatch/notify"
	"pushwatch/watcher/setting"
)

const defaultTimeout = 15 * time.Second

// Config describes one place to write to. A zero field is its default.
type Config struct {
	Name string // of the notifier
	// URL is the service URL. It is read at each attempt.
	URL setting.Secret
	// Timeout bounds an attempt, the waiting for the one before it included;
	// default 15 s.
	Timeout time.Duration
}

// Validate returns all that is wrong with c, each with the setting's name and what
// would be right. The file or variable of the URL is read; nothing is sent.
func (c Config) Validate() []error {
	var faults []error
	if _, err := readURL(c.URL); err != nil {
		faults = append(faults, fmt.Errorf("url: %w", err))
	}
	if c.Timeout < 0 {
		faults = append(faults, fmt.Errorf(`timeout = "%s": want more than zero`, c.Timeout))
	}
	return faults
}

// A Sender writes to one place. It is a [notify.Sender]. As it makes one attempt
// at a time, a [notify.Notifier] with it needs no MaxInFlight above 1.
type Sender struct {
	config Config

	turn    chan struct{} // full while an attempt runs, be it one that was given up
	service types.Service // belongs to the attempt whose turn it is; nil before the first
	opened  string        // the URL that service is for
}

var _ notify.Sender = (*Sender)(nil)

// New returns a sender for c, or all faults that c has.
func New(c Config) (*Sender, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, fmt.Errorf("chat %q: %w", c.Name, errors.Join(faults...))
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	return &Sender{config: c, turn: make(chan struct{}, 1)}, nil
}

// Target returns what may be shown of where the sender writes to: the service's
// name, such as "slack". It is empty while the URL cannot be read.
func (s *Sender) Target() string {
	u, err := readURL(s.config.URL)
	if err != nil {
		return ""
	}
	return serviceName(u)
}
