package chat

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pushwatch/watcher"
)

// hostile is what somebody may put into a label, a Status or an id.
var hostile = []string{
	"<!channel> @everyone", "<@U123> <#C123> <!subteam^S1>", "[click](http://evil.example/x)", "[a][b]", "<http://evil.example|click>",
	"*bold* _italic_ ~struck~ `code` ||spoiler||", "**bold** __under__ ~~struck~~", "<b>bold</b><script>x</script>", `<at user_id="all">all</at>`,
	"# heading", "> quote", "- item", "1. item", "evil.com/phish", "www.evil.com", "https://evil.example", "/start #tag $BTC", "<@userid>", "@all",
	"&lt;b&gt;", "\\[x\\](y)", "<users/all>", ":smile:",
}

// markups are what each service would give a meaning, in the text as it is posted.
var markups = map[string]*regexp.Regexp{
	"":           regexp.MustCompile(`@\w|<[!@#a-zA-Z/]|\]\(|\]\[|://|\w\.[A-Za-z]`), // of every service
	"slack":      regexp.MustCompile(`[<>]|&[^lga]`),
	"discord":    regexp.MustCompile(`(^|[^\\])[*_~|\x60\[]|(^|\n)[#>-]|(^|\n)[0-9]+\.`),
	"mattermost": regexp.MustCompile(`(^|[^\\])[*_~|\x60\[]|(^|\n)[#>-]|(^|\n)[0-9]+\.`),
	"googlechat": regexp.MustCompile("[*~`]|(^|[^A-Za-z0-9])_|_($|[^A-Za-z0-9])"),
	"lark":       regexp.MustCompile("[*~`]"),
	"rocketchat": regexp.MustCompile("[*~`]"),
	"zulip":      regexp.MustCompile("[*~`]"),
	"telegram":   regexp.MustCompile(`(^|\W)[/#$][A-Za-z]`),
}

// styles are those of all services, by name.
func styles() map[string]style {
	all := map[string]style{mailName: (&mailbox{}).style()}
	for _, s := range services {
		all[s.names[0]] = s.style
	}
	for name, s := range libraryServices {
		all[name] = s.style
	}
	return all
}

// No service takes anything from outside for more than text.
func TestEscape(t *testing.T) {
	for name, s := range styles() {
		for _, text := range hostile {
			got := s.escape(text)
			for _, which := range []string{"", name} {
				if pattern := markups[which]; pattern != nil && pattern.MatchString(got) {
					t.Errorf("%s: escape(%q) = %q, which has %q in it", name, text, got, pattern.FindString(got))
				}
			}
			if strings.ContainsRune(got, '\n') || !utf8.ValidString(got) {
				t.Errorf("%s: escape(%q) = %q, want one line", name, text, got)
			}
		}
		for _, plain := range []string{"math-3b", "3年二班", "Mr. Smith, room 12", "ghucnligqtgtvk2624mb", "STOPPED"} {
			if got := s.escape(plain); got != plain {
				t.Errorf("%s: escape(%q) = %q, want it as it is", name, plain, got)
			}
		}
	}
}

// What is foreign in an event is escaped wherever it stands in a text.
func TestEveryFieldIsEscaped(t *testing.T) {
	const bad = "<!channel> @everyone [x](http://evil.com) *b*"
	for name, s := range styles() {
		for language := range languages {
			for _, kind := range watcher.EventTypes {
				var event map[string]any
				if err := json.Unmarshal(sample(kind), &event); err != nil {
					t.Fatal(err)
				}
				spoil(event, bad)
				body, err := json.Marshal(event)
				if err != nil {
					t.Fatal(err)
				}
				got, err := languages[language].text(body, &s)
				if err != nil {
					t.Fatal(err)
				}
				for _, which := range []string{"", name} {
					if pattern := markups[which]; pattern != nil && which != "discord" && which != "mattermost" && pattern.MatchString(typesOut(got)) {
						t.Errorf("%s, %s: text(%s) = %q, which has %q in it", name, language, kind, got, pattern.FindString(typesOut(got)))
					}
				}
				if strings.Contains(got, "*b*") && (s.markup != nil && name != "slack" && name != "telegram") {
					t.Errorf("%s, %s: text(%s) = %q, with markup", name, language, kind, got)
				}
			}
		}
	}
}

// typesOut removes the types of events from a text, which are ours.
func typesOut(text string) string {
	for _, kind := range watcher.EventTypes {
		text = strings.ReplaceAll(text, string(kind), "")
	}
	return text
}

// spoil puts text in the place of all texts of a JSON value but types and times.
func spoil(v map[string]any, text string) {
	for key, member := range v {
		switch member := member.(type) {
		case map[string]any:
			spoil(member, text)
		case string:
			switch key {
			case "type", "time", "timestamp", "since", "observed_at", "last_observed_at", "state", "previous_state", "event_type":
			default:
				v[key] = text
			}
		}
	}
}

// A text is within the service's limit, in whole characters, and still says what it is
// about.
func TestLimits(t *testing.T) {
	for _, filling := range []string{"x", "é", "班", "😀", "*", "&", "<", "@", "."} {
		d := taskData()
		long := strings.Repeat(filling, 2000)
		d.Labels["class"], d.Error, d.Push.FinishReason = long, &watcher.APIError{Code: "Code", Message: long}, &long
		d.Account = long
		for name, s := range styles() {
			for language := range languages {
				got, err := languages[language].text(body(watcher.PushFailed, d), &s)
				if err != nil || !utf8.ValidString(got) || !s.fits(got) {
					t.Errorf("%s, %s, %q: %d bytes, %v, want it valid and within %d", name, language, filling, len(got), err, s.limit)
				}
				if !strings.Contains(got, "1400000001/ghucnligqtgtvk2624mb") {
					t.Errorf("%s, %s, %q: %q, want the task in it", name, language, filling, got)
				}
			}
		}
	}
	tight := style{limit: 40, length: inUTF16}
	got, err := languages["zh-CN"].text(sample(watcher.PushFailed), &tight)
	if err != nil || !utf8.ValidString(got) || !tight.fits(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("text of 40 characters = %q, %v, want it cut", got, err)
	}
	for limit, want := range map[int]string{1: "…", 3: "a😀…", 0: "a😀😀b"} {
		s := style{limit: limit, length: inCharacters}
		if got := s.cut("a😀😀b"); got != want {
			t.Errorf("cut to %d = %q, want %q", limit, got, want)
		}
	}
}

// The title of a URL takes from the limit.
func TestTitleTakesFromTheLimit(t *testing.T) {
	u, err := url.Parse("discord://token@1?title=" + strings.Repeat("t", 1990))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseDiscord(u)
	if err != nil {
		t.Fatal(err)
	}
	p.service = discord
	s := p.style()
	if text := p.title + "\n" + english(t, delivery().Body, s); inUTF16(text) > 2000 {
		t.Errorf("title and text have %d characters, want at most 2000", inUTF16(text))
	}
}
