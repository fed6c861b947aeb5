package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushwatch/watcher"
)

// A registration is the form that registers pushes, as it was filled in.
type registration struct {
	App    string
	IDs    string // one a line, or separated by spaces or commas; also "application/id"
	Labels string // key:value, one a line
	Stop   string // local time, as [locale.input] writes it
	Faults []any  // messages, or texts
}

// maxRegistered is how many pushes the form registers at once.
const maxRegistered = 1000

func (s *site) registerForm(r *request) (view, error) {
	return registerView(registration{App: r.URL.Query().Get("app")}), nil
}

func registerView(form registration) view {
	return view{Name: "register", Title: say("register.title"), Section: "tasks", Data: form}
}

// register registers the pushes of the form.
func (s *site) register(r *request) (location string, err error) {
	form := registration{App: strings.TrimSpace(r.PostFormValue("app")), IDs: r.PostFormValue("ids"), Labels: r.PostFormValue("labels"), Stop: r.PostFormValue("stop")}
	wanted := form.parse(r.Locale)
	if len(form.Faults) == 0 {
		_, err := s.Tasks.Register(r.Context(), wanted, false)
		if err == nil {
			return registeredAt(wanted), nil
		}
		for _, field := range watcher.FieldErrors(err) {
			form.Faults = append(form.Faults, refusal(field))
		}
		if len(form.Faults) == 0 {
			return "", err
		}
	}
	return "", &fault{Status: http.StatusUnprocessableEntity, Title: say("fault.invalid"), View: new(registerView(form))}
}

// registeredAt is where to look at the pushes that were registered.
func registeredAt(wanted []watcher.Registration) string {
	if len(wanted) == 1 {
		return "/tasks/" + wanted[0].Key.String() + "?done=registered"
	}
	return address("/tasks", "done", "registered", "n", strconv.Itoa(len(wanted)))
}

// refusal says what is wrong with a field of a registration.
func refusal(field *watcher.FieldError) message {
	path := field.Field
	if _, inTask, ok := strings.Cut(path, "]."); ok { // of "tasks[3].labels.course"
		path = inTask
	}
	switch name, _, _ := strings.Cut(path, "."); name {
	case "sdk_app_id":
		return say("register.bad_app", "Value", field.Value)
	case "task_id":
		return say("register.bad_id", "Value", field.Value)
	case "expected_stop_at":
		return say("register.bad_stop", "Value", field.Value)
	}
	return say("register.bad_labels", "Most", watcher.MaxLabels, "Bytes", watcher.MaxLabelValueBytes)
}

// parse reads the form, and notes its faults.
func (f *registration) parse(l *locale) (wanted []watcher.Registration) {
	labels := make(map[string]string)
	for line := range strings.Lines(f.Labels) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			f.Faults = append(f.Faults, say("filter.bad_label"))
			continue
		}
		labels[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	stop, err := l.readInput(f.Stop)
	if err != nil {
		f.Faults = append(f.Faults, say("filter.bad_time"))
	}
	ids := strings.FieldsFunc(f.IDs, func(c rune) bool { return strings.ContainsRune(", \t\n\r", c) })
	if len(ids) == 0 {
		f.Faults = append(f.Faults, say("register.no_id"))
	}
	if len(ids) > maxRegistered {
		f.Faults = append(f.Faults, say("register.too_many", "Max", maxRegistered))
		return nil
	}
	for _, id := range ids {
		app := f.App
		if first, rest, ok := strings.Cut(id, "/"); ok {
			app, id = first, rest
		}
		number, err := strconv.ParseInt(app, 10, 64)
		if err != nil {
			f.Faults = append(f.Faults, say("filter.bad_app"))
			return nil
		}
		r := watcher.Registration{Key: watcher.Key{SDKAppID: number, TaskID: id}, Labels: labels, ExpectedStopAt: stop}
		if !slices.ContainsFunc(wanted, func(w watcher.Registration) bool { return w.Key == r.Key }) {
			wanted = append(wanted, r)
		}
	}
	return wanted
}

// inputLayout is how browsers write a local time.
const inputLayout = "2006-01-02T15:04"

// input formats a time for a field of a form; zero: empty.
func (l *locale) input(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(l.Zone).Format(inputLayout)
}

// readInput reads a time that a form sent; empty: zero.
func (l *locale) readInput(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.ParseInLocation(inputLayout, text[:min(len(text), len(inputLayout))], l.Zone)
}
