package chat

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/bark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ifttt"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/join"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/notifiarr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

// ErrUnknownHost is returned by [Sender.Check] if it could not try to connect.
var ErrUnknownHost = errors.New("not tried: the host that the service answers at is not known")

// maxLibraryAnswer is how much of an answer the library can read.
const maxLibraryAnswer = 64 << 10

// A libraryService is a service that is sent to through the library.
type libraryService struct {
	open func() types.Service
	// host is the service's host; own: the one in its URL.
	host string
	// recipients returns the recipients that a URL names; nil: it can name only one.
	recipients func(types.Service) []string
	style      style
}

// own means the host in the service's URL.
const own = ""

var (
	plainStyle    = style{limit: 4000, length: inCharacters}
	markdownStyle = style{limit: 4000, length: inCharacters, markup: markdown}
	lookStyle     = style{limit: 4000, length: inCharacters, markup: lookAlike}
	shortStyle    = style{limit: 1024, length: inCharacters}
)

// libraryServices are the library's services, except for those in services, mail, and
// "logger", which reaches nobody: the log notifier does that better.
var libraryServices = map[string]libraryService{
	"bark":    {open: func() types.Service { return new(bark.Service) }, host: own, style: plainStyle},
	"generic": {open: func() types.Service { return new(generic.Service) }, host: own, style: plainStyle},
	"gotify":  {open: func() types.Service { return new(gotify.Service) }, host: own, style: plainStyle},
	"ifttt": {open: func() types.Service { return new(ifttt.Service) }, host: "maker.ifttt.com", style: plainStyle,
		recipients: func(s types.Service) []string { return s.(*ifttt.Service).Config.Events }},
	"join": {open: func() types.Service { return new(join.Service) }, host: "joinjoaomgcd.appspot.com", style: plainStyle,
		recipients: func(s types.Service) []string { return s.(*join.Service).Config.Devices }},
	"matrix": {open: func() types.Service { return new(matrix.Service) }, host: own, style: plainStyle,
		recipients: func(s types.Service) []string { return s.(*matrix.Service).Config.Rooms }},
	"mattermost": {open: func() types.Service { return new(mattermost.Service) }, host: own, style: markdownStyle},
	"notifiarr":  {open: func() types.Service { return new(notifiarr.Service) }, host: "notifiarr.com", style: markdownStyle},
	"ntfy":       {open: func() types.Service { return new(ntfy.Service) }, host: own, style: style{limit: 4096, length: inBytes}},
	"opsgenie":   {open: func() types.Service { return new(opsgenie.Service) }, host: own, style: plainStyle},
	"pagerduty":  {open: func() types.Service { return new(pagerduty.Service) }, host: own, style: shortStyle},
	"pushbullet": {open: func() types.Service { return new(pushbullet.Service) }, host: "api.pushbullet.com", style: plainStyle,
		recipients: func(s types.Service) []string { return s.(*pushbullet.Service).Config.Targets }},
	"pushover": {open: func() types.Service { return new(pushover.Service) }, host: "api.pushover.net", style: shortStyle,
		recipients: func(s types.Service) []string { return s.(*pushover.Service).Config.Devices }},
	"rocketchat": {open: func() types.Service { return new(rocketchat.Service) }, host: own, style: lookStyle},
	"signal": {open: func() types.Service { return new(signal.Service) }, host: own, style: style{limit: 2000, length: inCharacters},
		recipients: func(s types.Service) []string { return s.(*signal.Service).Config.Recipients }},
	"zulip": {open: func() types.Service { return new(zulip.Service) }, host: own, style: lookStyle},
}

// A library is a [destination] of a libraryService.
type library struct {
	service libraryService
	scheme  string
	url     *url.URL

	turn chan struct{} // a lock over open: full while an attempt uses it
	open types.Service // nil before the first attempt
}

// parseLibrary reads the URL of a library service. It makes no request.
func parseLibrary(u *url.URL) (destination, error) {
	name, _, _ := strings.Cut(u.Scheme, "+")
	l := &library{service: libraryServices[name], scheme: name, url: u, turn: make(chan struct{}, 1)}
	var recipients []string
	err := contain(func() error {
		if name == matrix.Scheme { // initialize would log in
			config := new(matrix.Config)
			err := config.SetURL(u)
			recipients = config.Rooms
			if err == nil && len(recipients) == 0 {
				return errSeveral // all rooms that the user has joined
			}
			return err
		}
		service, err := l.initialize()
		if err == nil && l.service.recipients != nil {
			recipients = l.service.recipients(service)
		}
		return err
	})
	if err == nil && len(recipients) > 1 {
		err = errSeveral
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// initialize makes the service of the URL. It replaces the library's router, which drops
// the cause of a failure.
func (l *library) initialize() (types.Service, error) {
	service, u := l.service.open(), l.url
	if u.Scheme != l.scheme {
		custom, ok := service.(types.CustomURLService)
		if !ok {
			return nil, errForm
		}
		var err error
		if u, err = custom.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	if err := service.Initialize(u, nil); err != nil {
		return nil, err
	}
	// These services have a transport of their own.
	switch s := service.(type) {
	case *mattermost.Service:
		s.GetHTTPClient().Transport = theCarrier
	case *gotify.Service:
		s.GetHTTPClient().Transport = theCarrier
	case *ntfy.Service:
		s.SetHTTPClient(&http.Client{Transport: theCarrier})
	}
	return service, nil
}

func (l *library) name() string { return l.scheme }

func (l *library) style() style { return l.service.style }

// send sends a text through the library. The library's result decides whether it
// succeeded. A failure is described by the status only, because the library's error may
// contain the URL.
func (l *library) send(ctx context.Context, t *transport.Transport, m message) (status int, err error) {
	parent := ctx
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return 0, t.Failed(parent, context.Cause(ctx), l.name())
	}
	a := &libraryAttempt{ctx: ctx, transport: t, alias: l.name(), hidden: words(l.url.String())}
	err = a.run(func() (err error) {
		if l.open == nil {
			if l.open, err = l.initialize(); err != nil {
				l.open = nil
				return err
			}
		}
		return l.open.Send(m.text, &types.Params{})
	})
	switch {
	case a.failed != nil:
		err = a.failed
	case a.answer == nil && err == nil:
		err = &notify.SendError{Reason: l.name() + ": no request was made"}
	case a.answer == nil:
		err = &notify.SendError{Reason: l.name() + ": it did not take the message"}
	case a.answer.Status > 299:
		failed := a.answer.Failure()
		failed.Reason = l.name() + " " + a.answer.StatusLine()
		status, err = a.answer.Status, failed
	case err != nil:
		status, err = a.answer.Status, &notify.SendError{Reason: l.name() + " " + a.answer.StatusLine() + ": it did not take the message"}
	default:
		return a.answer.Status, nil
	}
	if l.scheme == matrix.Scheme {
		l.open = nil // its login may have expired
	}
	return status, err
}

func (l *library) check(ctx context.Context, t *transport.Transport) error {
	to := l.address()
	if to == nil {
		return ErrUnknownHost
	}
	return t.Check(ctx, to, l.name(), words(l.url.String())...)
}

// address returns the scheme and host of the service; nil: not known.
func (l *library) address() *url.URL {
	_, scheme, custom := strings.Cut(l.url.Scheme, "+")
	to := &url.URL{Scheme: "https", Host: l.service.host}
	switch {
	case custom:
		to.Scheme, to.Host = scheme, l.url.Host
	case to.Host == own:
		to.Host = l.url.Host
		if unencrypted(l.url) {
			to.Scheme = "http"
		}
		if l.scheme == signal.Scheme {
			to.Host = net.JoinHostPort(l.url.Hostname(), cmp.Or(l.url.Port(), "8080"))
		}
	}
	if to.Hostname() == "" || to.Scheme != "https" && to.Scheme != "http" {
		return nil
	}
	return to
}

// unencrypted reports whether the URL asks for HTTP without TLS: with disabletls=yes, in
// upper or lower case, or scheme=http.
func unencrypted(u *url.URL) bool {
	for key, values := range u.Query() {
		switch key, value := strings.ToLower(key), strings.ToLower(values[0]); {
		case key == "disabletls" && truths[value], key == "scheme" && value == "http":
			return true
		}
	}
	return false
}
