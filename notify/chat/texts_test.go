package chat

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pushwatch/watcher"
)

var update = flag.Bool("update", false, "write the golden files again")

const eventID = "msg_01k9qx3v7z8m4t2b6n5c1r0wya"

var at = time.Date(2026, 11, 22, 18, 16, 5, 123456000, time.UTC)

func body(kind watcher.EventType, data any) []byte {
	return watcher.NewEnvelope("classroom-sg-1", eventID, kind, "1400000001/ghucnligqtgtvk2624mb", at, data).Encode()
}

// taskData is a task's event of a push that began and ended shortly before.
func taskData() watcher.TaskData {
	return watcher.TaskData{
		Sequence: 3, Account: "school", SDKAppID: 1400000001, TaskID: "ghucnligqtgtvk2624mb",
		Labels: map[string]string{"course": "math-3b"}, PreviousState: watcher.Pushing,
		Push: &watcher.Push{
			Status: new("STOPPED"), FinishReason: new("EXCEPTION"), Backup: new(`{"Result":"ok"}`), ExceptionCount: new(int64(2)),
			PushStartTime: new(at.Unix() - 2700), PushStopTime: new(at.Unix() - 6),
		},
		ExceptionsAdded: 1, ObservedAt: watcher.Timestamp{Time: at}, LastObservedAt: watcher.Timestamp{Time: at.Add(-3 * time.Second)},
	}
}

// sample returns an event of a type, with all that such an event holds.
func sample(kind watcher.EventType) []byte {
	switch {
	case kind == watcher.WatcherBlind, kind == watcher.WatcherSighted:
		return body(kind, map[string]any{
			"account": "school", "sdk_app_id": nil, "since": watcher.Timestamp{Time: at.Add(-90 * time.Second)}, "tasks": 42,
			"error": watcher.APIError{Code: "AuthFailure.SecretIdNotFound", Message: "The SecretId is not found."},
		})
	case kind == watcher.DeliveryExhausted:
		return body(kind, map[string]any{
			"notifier": "classroom", "event_id": "msg_other", "event_type": watcher.PushFailed, "attempts": 17,
			"last_error": "answered 500 Internal Server Error",
		})
	case kind == watcher.WebhookTest:
		return body(kind, map[string]any{})
	}
	d := taskData()
	switch kind {
	case watcher.PushBlind, watcher.PushSighted, watcher.PushAbandoned:
		d.Push = &watcher.Push{Status: new(watcher.StatusPushing)}
		d.Error = &watcher.APIError{Code: "InternalError", Message: "Internal error."}
		d.Since = &watcher.Timestamp{Time: at.Add(-90 * time.Minute)}
		return body(kind, d)
	case watcher.PushPreparing, watcher.PushStalled:
		d.Push = &watcher.Push{Status: new(watcher.StatusPrepared)}
	case watcher.PushStarted, watcher.PushException, watcher.PushOverdue, watcher.PushBackupChanged:
		d.Push.Status, d.Push.FinishReason, d.Push.PushStopTime = new(watcher.StatusPushing), nil, nil
	case watcher.PushChanged:
		d.Push.Status = new("PAUSED")
	case watcher.PushStopped:
		d.Push.FinishReason, d.Push.ExceptionCount = new("AUTO"), nil
	case watcher.PushNotFound:
		d.Push, d.Error = nil, &watcher.APIError{Code: "InvalidParameter.TaskNotFound", Message: "The task does not exist."}
	}
	return body(kind, d)
}

// TestTexts holds the whole of each text in each language, in testdata; -update writes
// it again.
func TestTexts(t *testing.T) {
	want := map[string]bool{}
	for _, language := range Languages() {
		for _, kind := range watcher.EventTypes {
			path := filepath.Join("testdata", language, string(kind)+".txt")
			want[path] = true
			got, err := languages[language].text(sample(kind), &style{})
			if err != nil {
				t.Errorf("%s: text(%s) = %v, want a text", language, kind, err)
				continue
			}
			if *update {
				if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil || got+"\n" != string(golden) {
				t.Errorf("%s: text(%s) =\n%s\nwant, %v\n%s", language, kind, got, err, golden)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.txt"))
	if err != nil || len(files) != len(want) {
		t.Errorf("golden files = %q, %v, want %q", files, err, slices.Sorted(maps.Keys(want)))
	}
}

// A language has a text for each type, all parts that the others have, and its units; a
// third one is one file more.
func TestLanguages(t *testing.T) {
	if got := Languages(); !slices.Contains(got, "en") || !slices.Contains(got, "zh-CN") {
		t.Errorf("Languages() = %q, want en and zh-CN in it", got)
	}
	defined := func(l *language) []string {
		var names []string
		for _, text := range l.texts.Templates() {
			if !strings.HasSuffix(text.Name(), ".tmpl") {
				names = append(names, text.Name())
			}
		}
		slices.Sort(names)
		return names
	}
	for name, l := range languages {
		if got, want := defined(l), defined(languages["en"]); !slices.Equal(got, want) {
			t.Errorf("%s has the texts %q, want %q", name, got, want)
		}
		for _, kind := range watcher.EventTypes {
			if l.texts.Lookup(string(kind)) == nil {
				t.Errorf("%s has no text for %s", name, kind)
			}
		}
		for i, unit := range l.units {
			if unit == "" {
				t.Errorf("%s: unit %d is missing", name, i)
			}
		}
		// What stands in the catalogue is no markup of any service: it is not escaped.
		for _, text := range l.texts.Templates() {
			if markup := regexp.MustCompile("[*_~`\\[\\]<>#@|]").FindString(regexp.MustCompile(`(?s){{.*?}}`).ReplaceAllString(text.Root.String(), "")); markup != "" {
				t.Errorf("%s: the text %s has %q in it", name, text.Name(), markup)
			}
		}
	}
}

func TestTextVariants(t *testing.T) {
	tests := []struct {
		name string
		body func() []byte
		want []string
		not  string
	}{
		{"class before course", func() []byte {
			d := taskData()
			d.Labels["class"] = "3b"
			return body(watcher.PushStarted, d)
		}, []string{"3b: the push has started"}, "math"},
		{"no label", func() []byte {
			d := taskData()
			d.Labels = nil
			return body(watcher.PushStarted, d)
		}, []string{"task ghucnligqtgtvk2624mb: "}, ""},
		{"failed by an error of the API", func() []byte {
			d := taskData()
			d.Push, d.Error = nil, &watcher.APIError{Code: "FailedOperation.WhiteboardPush", Message: "no\nroom."}
			return body(watcher.PushFailed, d)
		}, []string{"Error: FailedOperation.WhiteboardPush: no room.\n", "the push FAILED.", "3s after the poll before"}, "It ran"},
		{"failed without a status", func() []byte {
			d := taskData()
			d.Push = nil
			return body(watcher.PushFailed, d)
		}, []string{"FAILED: the service no longer reports its status.\n"}, "reason"},
		{"an error without a message", func() []byte {
			d := taskData()
			d.Error = &watcher.APIError{Code: "timeout"}
			return body(watcher.PushFailed, d)
		}, []string{"Error: timeout.\n"}, ""},
		{"seen at once", func() []byte {
			d := taskData()
			d.Push, d.LastObservedAt = nil, watcher.Timestamp{}
			return body(watcher.PushPreparing, d)
		}, []string{"at the first poll"}, "after"},
		{"clocks that differ", func() []byte {
			d := taskData()
			d.Push.PushStopTime = new(at.Unix() + 5)
			return body(watcher.PushStopped, d)
		}, []string{", 0s after its end"}, "-5s"},
		{"one application", func() []byte {
			return body(watcher.WatcherBlind, map[string]any{"account": "school", "sdk_app_id": 1400000001, "tasks": 1,
				"since": watcher.Timestamp{Time: at.Add(-time.Hour)}})
		}, []string{"Application 1400000001 of account school CANNOT", "for 1h.", "unwatched: 1."}, "Error:"},
		{"from one unknown status to another", func() []byte {
			d := taskData()
			d.Push.Status, d.PreviousStatus = new("<!channel> @everyone"), "PAUSED"
			return body(watcher.PushChanged, d)
		}, []string{"has changed from PAUSED to <\u200b!channel> @\u200beveryone.\n"}, "<!"},
		{"back from a status that is not named", func() []byte {
			d := taskData()
			d.Push.Status = new("PUSHING")
			return body(watcher.PushChanged, d)
		}, []string{"status is PUSHING again.\n"}, "from"},
		{"a status before any known one", func() []byte {
			d := taskData()
			d.PreviousState, d.Push.Status = watcher.Registered, new("NEW")
			return body(watcher.PushChanged, d)
		}, []string{"status is NEW.\n"}, "from"},
		{"a long label of several lines", func() []byte {
			d := taskData()
			d.Labels["class"] = "a\r\nb\x00c" + strings.Repeat("é", 200)
			return body(watcher.PushStarted, d)
		}, []string{"a b cé", "é…: the push has started"}, strings.Repeat("é", 150)},
	}
	for _, tt := range tests {
		got, err := languages["en"].text(tt.body(), &style{})
		for _, want := range tt.want {
			if err != nil || !strings.Contains(got, want) {
				t.Errorf("%s: text = %q, %v, want %q in it", tt.name, got, err, want)
			}
		}
		if tt.not != "" && strings.Contains(got, tt.not) {
			t.Errorf("%s: text = %q, want no %q in it", tt.name, got, tt.not)
		}
	}
}

func TestTextOfNothing(t *testing.T) {
	for _, in := range []string{"", "{", `[]`, `{"type":"push.unheard"}`} {
		if got, err := languages["en"].text([]byte(in), &style{}); err == nil {
			t.Errorf("text(%q) = %q, want an error", in, got)
		}
	}
}

// FuzzText: whatever a label or an error holds, it adds no line and says little.
func FuzzText(f *testing.F) {
	f.Add("math-3b")
	f.Add("a\nb\u2028c\x1b[31m\xff")
	f.Fuzz(func(t *testing.T, foreign string) {
		d := taskData()
		plain, err := languages["en"].text(body(watcher.PushNotFound, d), &style{})
		if err != nil {
			t.Fatal(err)
		}
		d.Labels["class"], d.Error = foreign, &watcher.APIError{Code: "Code", Message: foreign}
		got, err := languages["en"].text(body(watcher.PushNotFound, d), &style{})
		if err != nil || strings.Count(got, "\n") != strings.Count(plain, "\n")+1 || len(got) > len(plain)+3*maxForeign {
			t.Errorf("text with %q = %q, %v, want one line more than %q", foreign, got, err, plain)
		}
	})
}
