package chat

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"pushwatch/watcher/setting"
)

// shoutrrr makes services. It has no state that is used here.
var shoutrrr router.ServiceRouter

// services returns the names of the services that reach somebody. "logger" does
// not: it would drop what the log notifier is there to keep.
func services() []string {
	names := slices.DeleteFunc(shoutrrr.ListServices(), func(name string) bool { return name == "logger" })
	slices.Sort(names)
	return names
}

// readURL reads a service URL and checks it, without a request to anybody. Its
// errors show nothing of the URL but the name of a service that exists.
func readURL(secret setting.Secret) (*url.URL, error) {
	text, err := secret.Value()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(services(), serviceName(u)) {
		return nil, fmt.Errorf(`%s: not a service URL: want "SERVICE://…", or "SERVICE+https://…" with the service's own URL; services are %s`,
			secret.Where(), strings.Join(services(), ", "))
	}
	if err := contain(func() error { return check(u) }); err != nil { // err itself would show parts of the URL
		return nil, fmt.Errorf("%s: not a URL of %s: want its form in https://shoutrrr.nickfedor.com", secret.Where(), serviceName(u))
	}
	return u, nil
}

// serviceName returns the service's part of the scheme: "slack" of
// "slack+https://hooks.slack.com/…".
func serviceName(u *url.URL) string {
	name, _, _ := strings.Cut(u.Scheme, "+")
	return name
}

// check tells whether the service accepts the URL. Matrix would log in to
// initialize itself, and so only its settings are asked.
func check(u *url.URL) error {
	if u.Scheme == matrix.Scheme {
		return new(matrix.Config).SetURL(u)
	}
	_, err := open(u)
	return err
}

// open returns the service of a URL. It does by hand what the library's router
// does, which drops the cause of a failure.
func open(u *url.URL) (types.Service, error) {
	name := serviceName(u)
	service, err := shoutrrr.NewService(name)
	if err != nil {
		return nil, err
	}
	if name == telegram.Scheme {
		service = &telegramService{api: telegramAPI}
	}
	if u.Scheme != name {
		custom, ok := service.(types.CustomURLService)
		if !ok {
			return nil, fmt.Errorf("%s takes no URL of another form", name)
		}
		if u, err = custom.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	return service, service.Initialize(u, nil)
}

// contain runs code of a service, and makes an error of a panic in it. What it
// panicked with may hold anything, and is dropped.
func contain(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the service panicked")
		}
	}()
	return f()
}
