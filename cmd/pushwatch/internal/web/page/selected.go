package page

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
)

// actOnTasks polls or reopens the tasks that were selected in a list. It skips those that
// no longer exist, or for which the action has no meaning.
func (s *site) actOnTasks(r *request) (location string, err error) {
	do, done := s.reopen, "reopened"
	switch r.PostFormValue("action") {
	case "reopen":
	case "poll":
		done = "polled"
		do = func(r *request, key watcher.Key) (bool, error) {
			err := s.Tasks.PollNow(r.Context(), key)
			return err == nil, err
		}
	default:
		return "", errNoPage
	}
	n := 0
	for _, subject := range selected(r, "task") {
		key, err := watcher.ParseKey(subject)
		if err != nil {
			continue
		}
		switch did, err := do(r, key); {
		case did:
			n++
		case err != nil && !errors.Is(err, watcher.ErrNoTask) && !errors.Is(err, engine.ErrEnded):
			return "", err
		}
	}
	return backTo(r, "/tasks", done, n), nil
}

// retryDeliveries sends the deliveries again that were selected in a list.
func (s *site) retryDeliveries(r *request) (location string, err error) {
	n := 0
	for _, text := range selected(r, "delivery") {
		var queued int
		id, err := notify.ParseDeliveryID(text)
		if err == nil {
			queued, err = s.Dispatcher.Retry(r.Context(), id)
		}
		if err != nil && !errors.Is(err, notify.ErrNoDelivery) {
			return "", err
		}
		n += queued
	}
	return backTo(r, "/deliveries", "retried", n), nil
}

// backTo is the address of the list that a form was sent from, or else of another one,
// with what was done to n things.
func backTo(r *request, list, done string, n int) string {
	if next := localPath(r.PostFormValue("next")); next != "/" {
		list = next
	}
	path, query, _ := strings.Cut(list, "?")
	q, _ := url.ParseQuery(query) // without what cannot be read
	q.Set("done", done)
	q.Set("n", strconv.Itoa(n))
	return withQuery(path, q)
}

// selected are the values of a form's checkboxes, at most those of a page.
func selected(r *request, name string) []string {
	r.ParseForm()
	all := r.PostForm[name]
	return all[:min(len(all), pageRows)]
}
