package chat

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pushwatch/watcher/setting"
)

// errSeveral is the error of a URL that names more than one recipient.
var errSeveral = errors.New("it names several recipients: want one, and a notifier of its own for each of the others; " +
	"if one of them refused a text, the others would get it again")

// errForm is the error of a URL whose form is not the service's.
var errForm = errors.New("not of that form")

// readURL reads a service URL and makes no request. Its errors show nothing of the URL but
// the name of a known service.
func readURL(secret setting.Secret) (destination, error) {
	text, err := secret.Value()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, unknownService(secret)
	}
	name, scheme, custom := strings.Cut(u.Scheme, "+")
	if u.Scheme == "https" {
		if to := readOwn(u, ""); to != nil {
			return to, nil
		}
	}
	if !slices.Contains(serviceNames(), name) {
		return nil, unknownService(secret)
	}
	var to destination
	own := slices.IndexFunc(services, func(s *service) bool { return slices.Contains(s.names, name) })
	switch {
	case own >= 0 && custom: // NAME+https://…
		issued := *u
		issued.Scheme = scheme
		if to = readOwn(&issued, name); scheme != "https" || to == nil {
			err = errForm
		}
	case own >= 0:
		var p *post
		if p, err = services[own].parse(u); err == nil {
			p.service, to = services[own], p
		}
	case name == mailName:
		to, err = parseMail(u)
	default:
		to, err = parseLibrary(u)
	}
	switch {
	case errors.Is(err, errSeveral):
		return nil, fmt.Errorf("%s: a URL of %s: %w", secret.Where(), name, err)
	case err != nil: // err itself would show parts of the URL
		return nil, fmt.Errorf("%s: not a URL of %s: want its form in https://shoutrrr.nickfedor.com, or the service's own https URL", secret.Where(), name)
	}
	return to, nil
}

func unknownService(secret setting.Secret) error {
	return fmt.Errorf(`%s: not a service URL: want the https URL that %s gave, or "SERVICE://…"; services are %s`,
		secret.Where(), strings.Join(ownNames(), ", "), strings.Join(serviceNames(), ", "))
}

// readOwn reads an https URL that a service issued: the service of that name, or any if
// the name is empty. It returns nil if it is no such URL.
func readOwn(u *url.URL, name string) destination {
	for _, s := range services {
		if name == "" || slices.Contains(s.names, name) {
			if p := s.own(u); p != nil {
				p.service = s
				return p
			}
		}
	}
	return nil
}

// ownNames returns the names of the services whose own https URLs are accepted.
func ownNames() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.names[0])
	}
	return slices.Compact(names)
}

// parameters reads a URL's query. Keys are case-insensitive, and lower case in the result;
// unknown ones are refused, as unknown settings are.
func parameters(u *url.URL, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errForm
	}
	all := make(url.Values)
	for key, values := range query {
		key = strings.ToLower(key)
		if !slices.Contains(known, key) {
			return nil, errForm
		}
		all[key] = append(all[key], values...)
	}
	return all, nil
}

// list returns the elements of comma-separated lists in the query.
func list(query url.Values, keys ...string) []string {
	var all []string
	for _, key := range keys {
		for _, value := range query[key] {
			all = append(all, strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' })...)
		}
	}
	return all
}

// single returns the only recipient of a list.
func single(recipients []string) (string, error) {
	switch len(recipients) {
	case 0:
		return "", errForm
	case 1:
		return recipients[0], nil
	}
	return "", errSeveral
}

// yes reads a boolean such as "yes", "no", "true" or "1"; byDefault if there is none.
func yes(query url.Values, key string, byDefault bool) bool {
	if value, ok := truths[strings.ToLower(query.Get(key))]; ok {
		return value
	}
	return byDefault
}

var truths = map[string]bool{"yes": true, "true": true, "1": true, "no": false, "false": false, "0": false}
