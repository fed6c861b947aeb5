package chat

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A style is the form in which a service accepts texts.
type style struct {
	limit  int                 // the longest text; 0: longer than any of ours
	length func(string) int    // in the units of limit
	markup func(string) string // escapes the service's markup; nil: it has none
}

// fits reports whether the service accepts a text of this length.
func (s *style) fits(text string) bool { return s.limit == 0 || s.length(text) <= s.limit }

// cut shortens a text to what the service accepts, in whole characters.
func (s *style) cut(text string) string {
	if s.fits(text) {
		return text
	}
	for !s.fits(text + "…") {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text + "…"
}

// escape escapes a line from elsewhere so that the service shows it literally.
func (s *style) escape(line string) string { return s.own(neutral(line)) }

// own is escape for a word of our own, which contains no link and no mention.
func (s *style) own(word string) string {
	if s.markup == nil {
		return word
	}
	return s.markup(word)
}

// The units in which services limit texts.
func inBytes(text string) int      { return len(text) }
func inCharacters(text string) int { return utf8.RuneCountInString(text) }
func inUTF16(text string) int      { return len(utf16.Encode([]rune(text))) }

// gap is an invisible character without width. It breaks up links, mentions and commands.
const gap = "\u200b"

// mentions breaks up mentions and tags, such as "@everyone", "<!channel>" and
// "<at id=all>", and the end of a Markdown link's text.
var mentions = strings.NewReplacer("@", "@"+gap, "<", "<"+gap, "](", "]"+gap+"(", "][", "]"+gap+"[")

// linkPattern finds what chat services turn into a link: URLs with a scheme, and text that
// looks like a domain name.
var linkPattern = regexp.MustCompile(`(:)(//)|(\.)(\pL)`)

// codePattern is the form of an error code of the API, such as
// "InvalidParameter.TaskNotFound". It is not a domain name, and is shown unchanged
// because people search for it.
var codePattern = regexp.MustCompile(`^[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]*[a-z][A-Z][A-Za-z]+)*$`)

// neutral breaks up links and mentions. It is for every service: most find them in plain
// text too, and so do mail programs.
func neutral(line string) string {
	return linkPattern.ReplaceAllString(mentions.Replace(line), "$1$3"+gap+"$2$4")
}

// markdownPattern finds the characters of Markdown, within a line or at its start.
var markdownPattern = regexp.MustCompile("[\\\\`*_~|\\[\\]:]|^[#>+\\-=]|^[0-9]+[.)]")

// markdown escapes Markdown with backslashes.
func markdown(line string) string {
	return markdownPattern.ReplaceAllStringFunc(line, func(found string) string {
		return found[:len(found)-1] + `\` + found[len(found)-1:]
	})
}

// slackEntities escapes the three characters that Slack has an escape for
// (https://docs.slack.dev/messaging/formatting-message-text#escaping).
var slackEntities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

var looks = strings.NewReplacer("*", "∗", "~", "∼", "`", "ˋ")

// lookAlike replaces markup by similar characters, for services that have no escape. An
// underscore within a word is no markup.
func lookAlike(line string) string {
	all := []rune(looks.Replace(line))
	inWord := func(i int) bool {
		return i >= 0 && i < len(all) && (unicode.IsLetter(all[i]) || unicode.IsDigit(all[i]))
	}
	for i, c := range all {
		if c == '_' && !(inWord(i-1) && inWord(i+1)) {
			all[i] = '＿'
		}
	}
	return string(all)
}

// commandPattern finds what Telegram turns into a command, a hashtag or a stock symbol.
var commandPattern = regexp.MustCompile(`(^|[^\pL\pN])([/#$])([\pL\pN_])`)

func telegramEntities(line string) string {
	return commandPattern.ReplaceAllString(line, "$1$2"+gap+"$3")
}
