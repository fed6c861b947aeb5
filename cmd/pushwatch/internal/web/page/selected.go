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
	poll := func(r *request, key watcher.Key) (bool, error) {
		err := s.Tasks.PollNow(r.Context(), key)
		return err == nil, err
	}
	actions := map[string]struct {
		done string
		do   func(*request, watcher.Key) (bool, error)
	}{"poll": {"polled", poll}, "reopen": {"reopened", s.reopen}}
	action, ok := actions[r.PostFormValue("action")]
	if !ok {
		return "", errNoPage
	}
	n := 0
	for _, subject := range selected(r, "task") {
		key, err := watcher.ParseKey(subject)
		if err != nil {
			continue
		}
		switch done, err := action.do(r, key); {
		case done:
			n++
		case err != nil && !errors.Is(err, watcher.ErrNoTask) && !errors.Is(err, engine.ErrEnded):
			return "", err
		}
	}
	return backTo(r, "/tasks", action.done, n), nil
}

// retryDeliveries sends the deliveries again that were selected in a list.
func (s *site) retryDeliveries(r *request) (location string, err error) {
	n := 0
	for _, text := range selected(r, "delivery") {
		var queued int
		id, err := notify.ParseDeliveryID(text)
		if err == nil {
			queued, err = s.Deliveries.Retry(r.Context(), id)
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
	q, err := url.ParseQuery(query)
	if err != nil {
		q = url.Values{}
	}
	q.Set("done", done)
	q.Set("n", strconv.Itoa(n))
	return path + "?" + q.Encode()
}

// selected are the values of a form's checkboxes, at most those of a page.
func selected(r *request, name string) []string {
	r.ParseForm()
	all := r.PostForm[name]
	return all[:min(len(all), pageRows)]
}
