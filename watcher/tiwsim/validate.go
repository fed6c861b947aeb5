package tiwsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxCount limits the copies of a life.
const maxCount = 1_000_000

var (
	taskIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	codePattern   = regexp.MustCompile(`^[A-Za-z0-9]+(\.[A-Za-z0-9_]+)*$`)
)

// A checker collects errors of fields.
type checker struct {
	errs   *[]error
	prefix string // of the names of the fields
}

// check adds an error if the value of a field is not valid. want is what would be.
func (c checker) check(valid bool, field string, value any, want string) {
	if !valid {
		*c.errs = append(*c.errs, wrong(c.prefix+field, value, want))
	}
}

// in returns the checker for the fields of an element of a list.
func (c checker) in(list string, i int) checker {
	return checker{c.errs, fmt.Sprintf("%s%s[%d].", c.prefix, list, i)}
}

func (c checker) notNegative(field string, d Duration) {
	c.check(d >= 0, field, d, `a duration such as "90s", not below zero`)
}

func (c checker) code(field, code string) {
	c.check(code == "" || codePattern.MatchString(code), field, code, "a code of the API, such as InternalError or InvalidParameter.TaskNotFound")
}

// validate returns all faults of the config.
func (c Config) validate() error {
	var errs []error
	all := checker{errs: &errs}
	all.check(len(c.Accounts) > 0, "accounts", "none", "at least one")
	names, ids, apps := make(map[string]bool), make(map[string]bool), make(map[int64]bool)
	for i, a := range c.Accounts {
		at := all.in("accounts", i)
		at.check(a.Name != "" && !names[a.Name], "name", a.Name, "a name that no other account has")
		at.check(a.SecretID != "" && !ids[a.SecretID] && !strings.ContainsAny(a.SecretID, "/, "),
			"secret_id", a.SecretID, `an id that no other account has, without "/", "," and spaces`)
		at.check(a.SecretKey != "", "secret_key", "", "a key")
		for j, app := range a.SDKAppIDs {
			at.check(app > 0 && !apps[app], fmt.Sprintf("sdk_app_ids[%d]", j), app, "a positive number that is listed once")
			apps[app] = true
		}
		names[a.Name], ids[a.SecretID] = true, true
	}
	all.check(c.Limit >= 0, "limit", c.Limit, "a positive number, or 0 for 20")
	all.notNegative("latency", c.Latency)
	all.check(c.LatencyMax == 0 || c.LatencyMax >= c.Latency, "latency_max", c.LatencyMax, "at least latency, or 0")
	all.check(c.RegionError == "" || slices.Contains(regionErrors, c.RegionError),
		"region_error", c.RegionError, "one of "+strings.Join(regionErrors, ", "))
	for i, life := range c.Tasks {
		at := all.in("tasks", i)
		at.check(apps[life.SDKAppID], "sdk_app_id", life.SDKAppID, "an application of one of the accounts")
		life.validate(at)
	}
	for i, f := range c.Faults {
		at := all.in("faults", i)
		at.check(f.Account == "" || names[f.Account], "account", f.Account, "the name of one of the accounts")
		f.validate(at)
	}
	return errors.Join(errs...)
}

func (l Life) validate(at checker) {
	at.check(taskIDPattern.MatchString(l.copyID(max(l.Count, 1))), "task_id", l.TaskID, "a text that matches "+taskIDPattern.String())
	at.check(l.Count >= 0 && l.Count <= maxCount, "count", l.Count, fmt.Sprintf("0 to %d", maxCount))
	at.check(l.Count <= 1 || strings.Contains(l.TaskID, "{n}"), "task_id", l.TaskID, "{n} in it, as there are several copies")
	at.notNegative("spread", l.Spread)
	at.notNegative("jitter", l.Jitter)
	at.notNegative("start_after", l.StartAfter)
	at.notNegative("prepared_for", l.PreparedFor)
	at.notNegative("pushing_for", l.PushingFor)
	at.notNegative("forget_after", l.ForgetAfter)
	at.check(l.PushingFor <= 0 || l.PreparedFor != 0, "pushing_for", l.PushingFor, "prepared_for set too, as the push never starts without")
	for i, d := range l.Exceptions {
		within := d >= 0 && l.PreparedFor > 0 && (l.PushingFor <= 0 || d < l.PushingFor)
		at.check(within && (i == 0 || d >= l.Exceptions[i-1]), fmt.Sprintf("exceptions[%d]", i), d, "a time within the push, ascending")
	}
	for i, m := range l.Backup {
		at.in("backup", i).notNegative("after", m.After)
	}
	for i, m := range l.Statuses {
		at.in("statuses", i).notNegative("after", m.After)
	}
	if l.Error != nil {
		at.notNegative("error.after", l.Error.After)
		at.code("error.code", l.Error.Code)
	}
	if l.BareAfter != nil {
		at.notNegative("bare_after", *l.BareAfter)
	}
	at.check(slices.Contains([]Shape{ShapeMixed, ShapeNull, ShapeAbsent, ShapeEmpty}, l.Shape), "shape", l.Shape, `"null", "absent", "empty" or ""`)
	for i, f := range l.Faults {
		at := at.in("faults", i)
		at.check(f.Account == "" && f.SDKAppID == 0 && f.TaskID == "", "task_id", f.TaskID, "no account, sdk_app_id and task_id, as the fault is this task's")
		at.check(f.Kind != FaultLimit, "kind", f.Kind, "it among the faults of the scenario, as the limit is an account's")
		f.validate(at)
	}
}

func (f Fault) validate(at checker) {
	if slices.Contains(faultKinds, f.Kind) {
		f.validateUse(at)
	} else {
		at.check(false, "kind", f.Kind, "one of "+strings.Join(faultKinds, ", "))
	}
	at.notNegative("from", f.From)
	at.notNegative("for", f.For)
	at.notNegative("every", f.Every)
	at.check(f.Probability >= 0 && f.Probability <= 1, "probability", f.Probability, "0 to 1")
	at.check(f.Kind != FaultThrottle || f.Code == "" || strings.HasPrefix(f.Code, "RequestLimitExceeded"),
		"code", f.Code, "one that begins with RequestLimitExceeded")
	at.code("code", f.Code)
	low, high := 200, 599
	if f.Kind == FaultRedirect {
		low, high = 300, 399
	}
	at.check(f.Status == 0 || f.Status >= low && f.Status <= high || f.Kind != FaultHTTP && f.Kind != FaultRedirect,
		"status", f.Status, "a final HTTP status, 3xx for a redirect")
	target, err := url.Parse(f.URL)
	at.check(f.Kind != FaultRedirect || err == nil && target.IsAbs(), "url", f.URL, "an absolute URL")
	at.check(f.Kind != FaultLimit || f.Limit > 0, "limit", f.Limit, "a positive number")
	at.check(f.Kind != FaultSize || f.Size > 0, "size", f.Size, "a positive number of bytes")
	f.validateFields(at)
}

// validateUse adds an error for each setting that the kind of f does not use.
func (f Fault) validateUse(at checker) {
	for _, setting := range []struct {
		name  string
		value any
		set   bool
		kinds []string
	}{
		{"code", f.Code, f.Code != "", []string{FaultThrottle, FaultError}},
		{"message", f.Message, f.Message != "", []string{FaultThrottle, FaultError}},
		{"status", f.Status, f.Status != 0, []string{FaultHTTP, FaultRedirect}},
		{"url", f.URL, f.URL != "", []string{FaultRedirect}},
		{"limit", f.Limit, f.Limit != 0, []string{FaultLimit}},
		{"every", f.Every, f.Every != 0, []string{FaultSlow}},
		{"fields", f.Fields, len(f.Fields) > 0, []string{FaultFields}},
		{"omit", f.Omit, len(f.Omit) > 0, []string{FaultFields}},
		{"body", f.Body, f.Body != "", []string{FaultBody}},
		{"size", f.Size, f.Size != 0, []string{FaultSize}},
	} {
		at.check(!setting.set || slices.Contains(setting.kinds, f.Kind), setting.name, setting.value, "it only where kind is "+strings.Join(setting.kinds, " or "))
	}
	at.check(f.Kind != FaultLimit || f.SDKAppID == 0 && f.TaskID == "", "kind", f.Kind, "no sdk_app_id and task_id, as the limit is an account's")
}

// fieldNames are the fields of an answer.
var fieldNames = []string{
	"FinishReason", "TaskId", "Status", "RoomId", "GroupId", "PushUserId", "PushStartTime", "PushStopTime",
	"ExceptionCnt", "IMSyncTime", "Backup", "RequestId",
}

func (f Fault) validateFields(at checker) {
	want := "one of " + strings.Join(fieldNames, ", ")
	at.check(f.Kind != FaultFields || len(f.Fields)+len(f.Omit) > 0, "fields", "none", "fields or omit, with "+want)
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		known := slices.Contains(fieldNames, name)
		at.check(known, "fields", name, want)
		at.check(!known || json.Valid([]byte(f.Fields[name])), "fields."+name, f.Fields[name], `JSON, such as '"text"', '8.8E5' or '{}'`)
	}
	for i, name := range f.Omit {
		at.check(slices.Contains(fieldNames, name), fmt.Sprintf("omit[%d]", i), name, want)
	}
}

// wrong returns the error of one invalid field.
func wrong(field string, value any, want string) error {
	switch value.(type) {
	case string, Shape:
		return fmt.Errorf("%s = %q: want %s", field, value, want)
	}
	return fmt.Errorf("%s = %v: want %s", field, value, want)
}
