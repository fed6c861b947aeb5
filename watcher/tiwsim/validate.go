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

var taskIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// validate returns all faults of the config.
func (c Config) validate() error {
	var errs []error
	if len(c.Accounts) == 0 {
		errs = append(errs, wrong("accounts", "none", "at least one"))
	}
	names, ids, apps := make(map[string]bool), make(map[string]bool), make(map[int64]bool)
	for i, a := range c.Accounts {
		at := fmt.Sprintf("accounts[%d].", i)
		if a.Name == "" || names[a.Name] {
			errs = append(errs, wrong(at+"name", a.Name, "a name that no other account has"))
		}
		if a.SecretID == "" || ids[a.SecretID] || strings.ContainsAny(a.SecretID, "/, ") {
			errs = append(errs, wrong(at+"secret_id", a.SecretID, `an id that no other account has, without "/", "," and spaces`))
		}
		if a.SecretKey == "" {
			errs = append(errs, wrong(at+"secret_key", "", "a key"))
		}
		for j, app := range a.SDKAppIDs {
			if app <= 0 || apps[app] {
				errs = append(errs, wrong(fmt.Sprintf("%ssdk_app_ids[%d]", at, j), app, "a positive number that is listed once"))
			}
			apps[app] = true
		}
		names[a.Name], ids[a.SecretID] = true, true
	}
	if c.Limit < 0 {
		errs = append(errs, wrong("limit", c.Limit, "a positive number, or 0 for 20"))
	}
	errs = append(errs, notNegative("latency", c.Latency)...)
	if c.LatencyMax != 0 && c.LatencyMax < c.Latency {
		errs = append(errs, wrong("latency_max", c.LatencyMax, "at least latency, or 0"))
	}
	if c.RegionError != "" && !slices.Contains(regionErrors, c.RegionError) {
		errs = append(errs, wrong("region_error", c.RegionError, "one of "+strings.Join(regionErrors, ", ")))
	}
	for i, life := range c.Tasks {
		at := fmt.Sprintf("tasks[%d].", i)
		if !apps[life.SDKAppID] {
			errs = append(errs, wrong(at+"sdk_app_id", life.SDKAppID, "an application of one of the accounts"))
		}
		errs = append(errs, life.validate(at)...)
	}
	for i, f := range c.Faults {
		at := fmt.Sprintf("faults[%d].", i)
		if f.Account != "" && !names[f.Account] {
			errs = append(errs, wrong(at+"account", f.Account, "the name of one of the accounts"))
		}
		errs = append(errs, f.validate(at)...)
	}
	return errors.Join(errs...)
}

func (l Life) validate(at string) []error {
	var errs []error
	if !taskIDPattern.MatchString(l.copyID(max(l.Count, 1))) {
		errs = append(errs, wrong(at+"task_id", l.TaskID, "a text that matches "+taskIDPattern.String()))
	}
	if l.Count < 0 || l.Count > maxCount {
		errs = append(errs, wrong(at+"count", l.Count, fmt.Sprintf("0 to %d", maxCount)))
	}
	if l.Count > 1 && !strings.Contains(l.TaskID, "{n}") {
		errs = append(errs, wrong(at+"task_id", l.TaskID, "{n} in it, as there are several copies"))
	}
	errs = append(errs, notNegative(at+"spread", l.Spread)...)
	errs = append(errs, notNegative(at+"jitter", l.Jitter)...)
	errs = append(errs, notNegative(at+"start_after", l.StartAfter)...)
	errs = append(errs, notNegative(at+"prepared_for", l.PreparedFor)...)
	errs = append(errs, notNegative(at+"pushing_for", l.PushingFor)...)
	errs = append(errs, notNegative(at+"forget_after", l.ForgetAfter)...)
	if l.PushingFor > 0 && l.PreparedFor == 0 {
		errs = append(errs, wrong(at+"pushing_for", l.PushingFor, "prepared_for set too, as the push never starts without"))
	}
	for i, d := range l.Exceptions {
		if d < 0 || i > 0 && d < l.Exceptions[i-1] || l.PushingFor > 0 && d >= l.PushingFor || l.PreparedFor <= 0 {
			errs = append(errs, wrong(fmt.Sprintf("%sexceptions[%d]", at, i), d, "a time within the push, ascending"))
		}
	}
	for i, m := range l.Backup {
		errs = append(errs, notNegative(fmt.Sprintf("%sbackup[%d].after", at, i), m.After)...)
	}
	for i, m := range l.Statuses {
		errs = append(errs, notNegative(fmt.Sprintf("%sstatuses[%d].after", at, i), m.After)...)
	}
	if l.Error != nil {
		errs = append(errs, notNegative(at+"error.after", l.Error.After)...)
		errs = append(errs, validCode(at+"error.code", l.Error.Code)...)
	}
	if l.BareAfter != nil {
		errs = append(errs, notNegative(at+"bare_after", *l.BareAfter)...)
	}
	if !slices.Contains([]Shape{ShapeMixed, ShapeNull, ShapeAbsent, ShapeEmpty}, l.Shape) {
		errs = append(errs, wrong(at+"shape", l.Shape, `"null", "absent", "empty" or ""`))
	}
	for i, f := range l.Faults {
		at := fmt.Sprintf("%sfaults[%d].", at, i)
		if f.Account != "" || f.SDKAppID != 0 || f.TaskID != "" {
			errs = append(errs, wrong(at+"task_id", f.TaskID, "no account, sdk_app_id and task_id, as the fault is this task's"))
		}
		if f.Kind == FaultLimit {
			errs = append(errs, wrong(at+"kind", f.Kind, "it among the faults of the scenario, as the limit is an account's"))
		}
		errs = append(errs, f.validate(at)...)
	}
	return errs
}

func (f Fault) validate(at string) []error {
	var errs []error
	if !slices.Contains(faultKinds, f.Kind) {
		errs = append(errs, wrong(at+"kind", f.Kind, "one of "+strings.Join(faultKinds, ", ")))
	} else {
		errs = append(errs, f.validateUse(at)...)
	}
	errs = append(errs, notNegative(at+"from", f.From)...)
	errs = append(errs, notNegative(at+"for", f.For)...)
	errs = append(errs, notNegative(at+"every", f.Every)...)
	if !(f.Probability >= 0 && f.Probability <= 1) {
		errs = append(errs, wrong(at+"probability", f.Probability, "0 to 1"))
	}
	if f.Kind == FaultThrottle && f.Code != "" && !strings.HasPrefix(f.Code, "RequestLimitExceeded") {
		errs = append(errs, wrong(at+"code", f.Code, "one that begins with RequestLimitExceeded"))
	}
	errs = append(errs, validCode(at+"code", f.Code)...)
	if f.Status != 0 && (f.Kind == FaultHTTP && (f.Status < 200 || f.Status > 599) ||
		f.Kind == FaultRedirect && (f.Status < 300 || f.Status > 399)) {
		errs = append(errs, wrong(at+"status", f.Status, "a final HTTP status, 3xx for a redirect"))
	}
	if target, err := url.Parse(f.URL); f.Kind == FaultRedirect && (err != nil || !target.IsAbs()) {
		errs = append(errs, wrong(at+"url", f.URL, "an absolute URL"))
	}
	if f.Kind == FaultLimit && f.Limit <= 0 {
		errs = append(errs, wrong(at+"limit", f.Limit, "a positive number"))
	}
	if f.Kind == FaultSize && f.Size <= 0 {
		errs = append(errs, wrong(at+"size", f.Size, "a positive number of bytes"))
	}
	return append(errs, f.validateFields(at)...)
}

// validateUse returns an error for each setting that the kind of f does not use.
func (f Fault) validateUse(at string) []error {
	var errs []error
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
		if setting.set && !slices.Contains(setting.kinds, f.Kind) {
			errs = append(errs, wrong(at+setting.name, setting.value, "it only where kind is "+strings.Join(setting.kinds, " or ")))
		}
	}
	if f.Kind == FaultLimit && (f.SDKAppID != 0 || f.TaskID != "") {
		errs = append(errs, wrong(at+"kind", f.Kind, "no sdk_app_id and task_id, as the limit is an account's"))
	}
	return errs
}

// fieldNames are the fields of an answer.
var fieldNames = []string{
	"FinishReason", "TaskId", "Status", "RoomId", "GroupId", "PushUserId", "PushStartTime", "PushStopTime",
	"ExceptionCnt", "IMSyncTime", "Backup", "RequestId",
}

func (f Fault) validateFields(at string) []error {
	var errs []error
	want := "one of " + strings.Join(fieldNames, ", ")
	if f.Kind == FaultFields && len(f.Fields)+len(f.Omit) == 0 {
		errs = append(errs, wrong(at+"fields", "none", "fields or omit, with "+want))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		switch value := f.Fields[name]; {
		case !slices.Contains(fieldNames, name):
			errs = append(errs, wrong(at+"fields", name, want))
		case !json.Valid([]byte(value)):
			errs = append(errs, wrong(at+"fields."+name, value, `JSON, such as '"text"', '8.8E5' or '{}'`))
		}
	}
	for i, name := range f.Omit {
		if !slices.Contains(fieldNames, name) {
			errs = append(errs, wrong(fmt.Sprintf("%somit[%d]", at, i), name, want))
		}
	}
	return errs
}

var codePattern = regexp.MustCompile(`^[A-Za-z0-9]+(\.[A-Za-z0-9_]+)*$`)

func validCode(field, code string) []error {
	if code != "" && !codePattern.MatchString(code) {
		return []error{wrong(field, code, "a code of the API, such as InternalError or InvalidParameter.TaskNotFound")}
	}
	return nil
}

func notNegative(field string, d Duration) []error {
	if d < 0 {
		return []error{wrong(field, d, `a duration such as "90s", not below zero`)}
	}
	return nil
}

// wrong returns the error of one invalid field.
func wrong(field string, value any, want string) error {
	switch value.(type) {
	case string, Shape:
		return fmt.Errorf("%s = %q: want %s", field, value, want)
	}
	return fmt.Errorf("%s = %v: want %s", field, value, want)
}

// joinAs joins errors under the name of the operation.
func joinAs(operation string, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, errors.Join(errs...))
}
