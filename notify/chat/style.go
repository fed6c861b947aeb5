package chat

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A style is how a service takes a text.
type style struct {
	limit  int              // of a text; 0: none that a text of ours could reach
	length func(string) int // in what the service counts the limit
	markup func(string) string
}

// fits reports whether the service takes a text as long as this.
func (s *style) fits(text string) bool { return s.limit == 0 || s.length(text) <= s.limit }

// cut returns as much of a text as the service takes, in whole characters.
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

// escape returns a line from elsewhere such that the service shows it as it is.
func (s *style) escape(line string) string { return s.own(neutral(line)) }

// own is escape for a word of our own, which holds no link and no mention.
func (s *style) own(word string) string {
	if s.markup == nil {
		return word
	}
	return s.markup(word)
}

// How the services count.
func inBytes(text string) int      { return len(text) }
func inCharacters(text string) int { return utf8.RuneCountInString(text) }
func inUTF16(text string) int      { return len(utf16.Encode([]rune(text))) }

// gap is a character without width. It takes apart what a service would take for more
// than text, and shows as nothing.
const gap = "\u200b"

// mentions opens what is a mention or a tag anywhere: "@everyone", "<!channel>",
// "<at id=all>"; and what ends the text of a Markdown link.
var mentions = strings.NewReplacer("@", "@"+gap, "<", "<"+gap, "](", "]"+gap+"(", "][", "]"+gap+"[")

// linkPattern finds what chat services make a link of unasked: after a scheme, and in
// what looks like a name of the internet.
var linkPattern = regexp.MustCompile(`(:)(//)|(\.)(\pL)`)

// codePattern is the form of an error code of the API, such as
// "InvalidParameter.TaskNotFound". It is no name of the internet, and is shown as it is
// since people search for it.
var codePattern = regexp.MustCompile(`^[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]*[a-z][A-Z][A-Za-z]+)*$`)

// neutral takes links and mentions apart. It is for every service: most make some of
// both out of plain text too, and so do the programs that people read mail with.
func neutral(line string) string {
	return linkPattern.ReplaceAllString(mentions.Replace(line), "$1$3"+gap+"$2$4")
}

// markdownPattern finds what Markdown gives a meaning, within a line or at its start.
var markdownPattern = regexp.MustCompile("[\\\\`*_~|\\[\\]:]|^[#>+\\-=]|^[0-9]+[.)]")

// markdown escapes with a backslash what Markdown gives a meaning.
func markdown(line string) string {
	return markdownPattern.ReplaceAllStringFunc(line, func(found string) string {
		return found[:len(found)-1] + `\` + found[len(found)-1:]
	})
}

// slackEntities are the three characters that Slack has an escape for
// (https://docs.slack.dev/messaging/formatting-message-text#escaping).
var slackEntities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

var looks = strings.NewReplacer("*", "∗", "~", "∼", "`", "ˋ")

// lookAlike stands other characters for those that a service without an escape gives a
// meaning. An underscore has none within a word.
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

// commandPattern finds what Telegram makes a command, a hashtag or a stock of.
var commandPattern = regexp.MustCompile(`(^|[^\pL\pN])([/#$])([\pL\pN_])`)

func telegramEntities(line string) string {
	return commandPattern.ReplaceAllString(line, "$1$2"+gap+"$3")
}
