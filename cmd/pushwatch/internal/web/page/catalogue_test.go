package page

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// readTexts reads the catalogue of each language: its texts by id.
func readTexts(t *testing.T) map[string]map[string]*i18n.Message {
	t.Helper()
	files, err := fs.Glob(languageFiles, "languages/*")
	if err != nil || len(files) < 2 {
		t.Fatalf("catalogues = %v, %v, want two at least", files, err)
	}
	all := make(map[string]map[string]*i18n.Message)
	for _, file := range files {
		text, err := languageFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := i18n.ParseMessageFileBytes(text, file, map[string]i18n.UnmarshalFunc{"toml": toml.Unmarshal})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = make(map[string]*i18n.Message)
		for _, m := range parsed.Messages {
			all[file][m.ID] = m
		}
	}
	return all
}

// wantedTexts are the ids that the page uses: those in its sources, and those that it
// makes of names.
func wantedTexts(t *testing.T) []string {
	t.Helper()
	var ids []string
	inGo := regexp.MustCompile(`"((?:[a-z_]+\.)+[a-z_]+|live_pushes|accounts)"`)
	inTemplate := regexp.MustCompile(`(?:t|say) "([a-z_.]+)"`)
	sections := regexp.MustCompile(`^(unit|layout|time|event_type|nav|title|live|status|visibility|lead|reasons?|advice|delivery|delivery_lead|delivery_state|notifiers?|notifier_state|overview|account|chart|column|state|filter|labels|copy|pick|pages|list|tasks|register|task|field|value|events?|deliveries|attempt|signin|notice|fault|language)\.`)
	for pattern, found := range map[string]*regexp.Regexp{"*.go": inGo, "templates/*.html": inTemplate} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range found.FindAllStringSubmatch(string(source), -1) {
				if pattern != "*.go" || sections.MatchString(m[1]) || !strings.Contains(m[1], ".") {
					ids = append(ids, m[1])
				}
			}
		}
	}
	for _, s := range watcher.States {
		ids = append(ids, "state."+string(s))
	}
	for _, s := range stateFilters {
		ids = append(ids, "state."+s)
	}
	for _, s := range deliveryStates {
		ids = append(ids, "delivery_state."+string(s))
	}
	for _, s := range []notify.NotifierState{notify.Active, notify.Down, notify.Paused, notify.Gone} {
		if ids = append(ids, "notifier_state."+string(s)); s != notify.Active {
			ids = append(ids, "delivery."+string(s))
		}
	}
	for _, e := range watcher.EventTypes {
		ids = append(ids, "event_type."+string(e))
	}
	for _, r := range notify.WaitReasons {
		ids = append(ids, "wait."+string(r))
	}
	for l := ok; l <= blind; l++ {
		ids = append(ids, "visibility."+l.Class())
	}
	for _, f := range faults {
		ids = append(ids, f.id+"_text")
	}
	file := regexp.MustCompile(`\.(css|html|js|svg|toml)$|\.$`) // or the beginning of an id alone
	ids = slices.DeleteFunc(ids, file.MatchString)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// forms are the plural forms of a text that there are, by name.
func forms(m *i18n.Message) map[string]string {
	all := map[string]string{"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other}
	for name, text := range all {
		if text == "" {
			delete(all, name)
		}
	}
	return all
}

// TestCatalogues holds that each language has all texts that the page uses and no others,
// and that they take the same arguments.
func TestCatalogues(t *testing.T) {
	all, wanted := readTexts(t), wantedTexts(t)
	english := all["languages/en.toml"]
	for file, texts := range all {
		for _, id := range wanted {
			if texts[id] == nil {
				t.Errorf("%s: %s is missing", file, id)
			}
		}
		for id, m := range texts {
			if _, used := slices.BinarySearch(wanted, id); !used {
				t.Errorf("%s: nothing uses %s", file, id)
			}
			if m.Other == "" {
				t.Errorf("%s: %s has no form for other numbers", file, id)
			}
			if english[id] == nil {
				continue
			}
			for form, text := range forms(m) {
				if got, want := arguments(t, text), arguments(t, english[id].Other); !slices.Equal(got, want) && form != "one" {
					t.Errorf("%s: %s takes %v, want %v as in English", file, id, got, want)
				}
				if tags := htmlTags.FindAllString(text, -1); slices.ContainsFunc(tags, func(tag string) bool { return tag != "<code>" && tag != "</code>" }) {
					t.Errorf("%s: %s has the tags %v, want <code> alone", file, id, tags)
				}
			}
		}
	}
}

// arguments are the arguments that a text takes.
func arguments(t *testing.T, text string) (names []string) {
	t.Helper()
	trees, err := parse.Parse("text", text, "{{", "}}")
	if err != nil {
		t.Fatalf("text %q: %v", text, err)
	}
	for _, tree := range trees {
		for _, node := range tree.Root.Nodes {
			if action, ok := node.(*parse.ActionNode); ok {
				names = append(names, action.String())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestLocale holds which language and zone a request gets.
func TestLocale(t *testing.T) {
	c := loadCatalogue()
	for _, test := range []struct {
		accept, cookies string
		language, zone  string
	}{
		{"", "", "en", "UTC"},
		{"zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN", "UTC"},
		{"zh", "", "zh-CN", "UTC"},
		{"zh-Hans-SG", "", "zh-CN", "UTC"},
		{"de-DE,de;q=0.9", "", "en", "UTC"},
		{"en-GB,zh;q=0.5", "", "en", "UTC"},
		{"zh-CN", "pushwatch_language=en", "en", "UTC"},
		{"en", "pushwatch_language=zh-CN; pushwatch_zone=Asia/Shanghai:480", "zh-CN", "Asia/Shanghai (UTC+08:00)"},
		{"", "pushwatch_language=xx; pushwatch_zone=Asia/Nowhere:-90", "en", "Asia/Nowhere (UTC-01:30)"},
		{"", "pushwatch_zone=UTC:0", "en", "UTC"},
		{"", "pushwatch_zone=Local:0", "en", "UTC"},
		{"", "pushwatch_zone=../../etc/passwd:0", "en", "UTC"},
		{"", "pushwatch_zone=Asia/Shanghai:99999", "en", "UTC"},
		{"\x00;;q=,,*", "", "en", "UTC"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", test.accept)
		r.Header.Set("Cookie", test.cookies)
		l := c.locale(c.localeOf(r))
		if l.Tag != test.language || l.ZoneName() != test.zone {
			t.Errorf("%q with cookies %q = %s, %s, want %s, %s", test.accept, test.cookies, l.Tag, l.ZoneName(), test.language, test.zone)
		}
	}
}

// TestText formats arguments by their type, and leaves what others wrote text.
func TestText(t *testing.T) {
	chinese := loadCatalogue().locale(localeKey{"zh-CN", "Asia/Shanghai:480"})
	for _, c := range []struct {
		l    *locale
		what message
		want string
	}{
		{english, say("live_pushes", "N", 1), "1 live push"},
		{english, say("live_pushes", "N", 1234), "1\u202f234 live pushes"},
		{chinese, say("live_pushes", "N", 1), "1 个进行中的推流"},
		{english, say("event.sighted", "Span", 192*time.Second), "after 3 m 12 s"},
		{chinese, say("event.sighted", "Span", 192*time.Second), "历时 3 分 12 秒"},
		{english, say("reason.quota", "Granted", 12.25, "Limit", 20.0), "TIW refuses requests beyond 12 a second of the 20 allowed: others use this account's quota."},
		{english, say("delivery.paused", "Notifier", "<b>{{.X}}\u202e"), "<bdi>&lt;b&gt;{{.X}}⟨U+202E⟩</bdi> is paused"},
		{english, say("no.such.text<"), "no.such.text&lt;"},
	} {
		if got := string(c.l.text(c.what)); got != c.want {
			t.Errorf("text(%v) = %q, want %q", c.what, got, c.want)
		}
	}
	if got := english.plain(say("delivery.paused", "Notifier", "<b>&")); got != "<b>& is paused" {
		t.Errorf("plain = %q", got)
	}
}

// TestClock writes times in a zone, with the date where it is not today's.
func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC) // it is December in Shanghai
	c := loadCatalogue()
	for _, test := range []struct {
		key  localeKey
		at   time.Time
		want string
	}{
		{localeKey{"en", ""}, now.Add(-time.Hour), "19:00:00"},
		{localeKey{"en", ""}, now.Add(-21 * time.Hour), "29 Nov 23:00:00"},
		{localeKey{"en", ""}, now.Add(-365 * 24 * time.Hour), "30 Nov 2025 20:00:00"},
		{localeKey{"en", "Asia/Shanghai:480"}, now.Add(-time.Hour), "03:00:00"},
		{localeKey{"en", "Asia/Shanghai:480"}, now.Add(-5 * time.Hour), "30 Nov 23:00:00"},
		{localeKey{"zh-CN", "Asia/Shanghai:480"}, now.Add(-5 * time.Hour), "11月30日 23:00:00"},
	} {
		if got := c.locale(test.key).clockAt(test.at, now, ""); got != test.want {
			t.Errorf("clock of %v in %v = %q, want %q", test.at, test.key, got, test.want)
		}
	}
	if got := string(c.locale(localeKey{"en", "Asia/Shanghai:480"}).clock(now)); !strings.Contains(got, `title="2026-11-30T20:00:00.000Z"`) {
		t.Errorf("clock = %s, want UTC as its tooltip", got)
	}
}
