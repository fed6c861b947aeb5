package page

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

// languageFiles are the catalogues, one for each language: the name of the file is the
// language's tag. Another file adds a language.
//
//go:embed languages
var languageFiles embed.FS

// defaultLanguage is shown to browsers that ask for none of the catalogue.
var defaultLanguage = language.English

// A catalogue has the texts of all languages.
type catalogue struct {
	bundle    *i18n.Bundle
	languages []languageName
	matcher   language.Matcher
}

// A languageName is a language of the catalogue with the name that it has for itself.
type languageName struct{ Tag, Name string }

func loadCatalogue() *catalogue {
	c := &catalogue{bundle: i18n.NewBundle(defaultLanguage)}
	c.bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	entries, err := languageFiles.ReadDir("languages")
	if err != nil {
		panic(err) // it is part of the binary
	}
	for _, entry := range entries {
		file := path.Join("languages", entry.Name())
		text, err := languageFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		c.bundle.MustParseMessageFileBytes(text, file)
	}
	tags := c.bundle.LanguageTags() // the default one first
	for _, tag := range tags {
		name := c.locale(localeKey{language: tag.String()}).plain("language.name")
		c.languages = append(c.languages, languageName{tag.String(), name})
	}
	c.matcher = language.NewMatcher(tags)
	return c
}

// A message is a text of the catalogue with its arguments.
type message struct {
	ID   string
	Args []any // names and values; see [locale.text]
}

// say returns a message.
func say(id string, namesAndValues ...any) message { return message{id, namesAndValues} }

// A locale is the language and the time zone that a view is shown in.
type locale struct {
	Tag       string // of the language
	Zone      *time.Location
	Chosen    bool // the zone is that of the browser or of a choice, and not the default
	localizer *i18n.Localizer
	units     map[time.Duration]string
	views     views // set by [site.locale]
}

const (
	languageCookie = "pushwatch_language"
	zoneCookie     = "pushwatch_zone" // name and offset: see [readZone]
	preferenceAge  = 365 * 24 * time.Hour
)

// A localeKey names a locale.
type localeKey struct{ language, zone string }

// localeOf returns the locale of a request: that of its cookies or, for the language, of the
// browser.
func (c *catalogue) localeOf(r *http.Request) localeKey {
	var wanted []string
	if cookie, err := r.Cookie(languageCookie); err == nil {
		wanted = append(wanted, cookie.Value)
	}
	_, index := language.MatchStrings(c.matcher, append(wanted, r.Header.Get("Accept-Language"))...)
	key := localeKey{language: c.languages[index].Tag}
	if cookie, err := r.Cookie(zoneCookie); err == nil && readZone(cookie.Value) != nil {
		key.zone = cookie.Value
	}
	return key
}

// locale returns the locale of a key.
func (c *catalogue) locale(key localeKey) *locale {
	zone := readZone(key.zone)
	l := &locale{Tag: key.language, Zone: cmp.Or(zone, time.UTC), Chosen: zone != nil, localizer: i18n.NewLocalizer(c.bundle, key.language), units: make(map[time.Duration]string)}
	for unit, id := range map[time.Duration]string{
		time.Millisecond: "unit.millisecond", time.Second: "unit.second", time.Minute: "unit.minute", time.Hour: "unit.hour", 24 * time.Hour: "unit.day",
	} {
		l.units[unit] = l.plain(id)
	}
	return l
}

// zoneName is what the name of a time zone looks like.
var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,32}){0,2}$`)

// readZone returns the zone of a cookie: the name that the browser gives it and its
// offset from UTC in minutes, as in "Asia/Shanghai:480". The offset counts where this
// machine does not know the name, as in a container without zone data. nil: it is none.
func readZone(text string) *time.Location {
	name, minutes, _ := strings.Cut(text, ":")
	offset, err := strconv.Atoi(minutes)
	if err != nil || offset < -24*60 || offset > 24*60 || !zoneName.MatchString(name) || name == "Local" {
		return nil
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.FixedZone(name, offset*60)
}

// ZoneName is the name of the zone with its current offset.
func (l *locale) ZoneName() string {
	if l.UTC() {
		return "UTC"
	}
	offset := time.Now().In(l.Zone).Format("-07:00")
	return l.Zone.String() + " (UTC" + offset + ")"
}

// UTC reports whether times are shown in UTC.
func (l *locale) UTC() bool { return l.Zone.String() == "UTC" }

// text returns a text as HTML: a message, or one by its id with names and values of its
// arguments. The argument N decides on singular or plural. Arguments are formatted by
// their type: see [locale.format].
func (l *locale) text(what any, namesAndValues ...any) template.HTML {
	if m, ok := what.(message); ok {
		return l.text(m.ID, m.Args...)
	}
	id := fmt.Sprint(what)
	cfg := &i18n.LocalizeConfig{MessageID: id}
	if len(namesAndValues) > 0 {
		data := make(map[string]any, len(namesAndValues)/2)
		for i := 0; i+1 < len(namesAndValues); i += 2 {
			name, value := fmt.Sprint(namesAndValues[i]), namesAndValues[i+1]
			if n, ok := value.(int); ok && name == "N" {
				cfg.PluralCount = n
			}
			data[name] = l.format(value)
		}
		cfg.TemplateData = data
	}
	text, err := l.localizer.Localize(cfg)
	if err != nil && text == "" {
		return template.HTML(template.HTMLEscapeString(id)) // a test finds what is missing
	}
	return template.HTML(text)
}

// format formats an argument of a text as HTML. Text is that of others: see [clean].
func (l *locale) format(value any) template.HTML {
	switch v := value.(type) {
	case template.HTML:
		return v
	case message:
		return l.text(v)
	case int:
		return template.HTML(count(v))
	case float64:
		return template.HTML(decimal(v))
	case time.Duration:
		return template.HTML(l.span(v))
	case time.Time:
		return l.clock(v)
	case since:
		return l.text("time.since", "Time", time.Time(v), "Ago", l.ago(time.Time(v)))
	case foreign:
		return template.HTML(`<bdi lang="en">` + template.HTMLEscapeString(clean(string(v))) + "</bdi>")
	}
	return template.HTML("<bdi>" + template.HTMLEscapeString(clean(fmt.Sprint(value))) + "</bdi>")
}

// since is the time at which something began: it is shown with its age.
type since time.Time

// foreign is an error of TIW, of a receiver or of the system: it stays as it is, and is in
// English as far as anybody knows.
type foreign string

// sentences joins texts. Not every language has a space between sentences. Empty texts are
// left out.
func (l *locale) sentences(parts ...template.HTML) (all template.HTML) {
	for _, part := range parts {
		switch {
		case part == "":
		case all == "":
			all = part
		default:
			all = l.text("list.sentences", "First", all, "Then", part)
		}
	}
	return all
}

// htmlTags are the tags in a text.
var htmlTags = regexp.MustCompile(`<[^>]*>`)

// plain returns a text without HTML.
func (l *locale) plain(what any, namesAndValues ...any) string {
	return unescape.Replace(htmlTags.ReplaceAllString(string(l.text(what, namesAndValues...)), ""))
}

// unescape undoes what [template.HTMLEscapeString] does.
var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&amp;", "&")

// span formats a duration in its two largest units at most:
// "35 ms", "4.2 s", "3 m 12 s", "1 h 4 m", "2 d 3 h".
func (l *locale) span(d time.Duration) string {
	d = max(0, d)
	in := func(n any, unit time.Duration) string { return fmt.Sprint(n, l.units[unit]) }
	two := func(large, small time.Duration) string {
		if rest := d % large / small; rest > 0 {
			return in(int64(d/large), large) + " " + in(int64(rest), small)
		}
		return in(int64(d/large), large)
	}
	switch {
	case d < time.Second:
		return in(d.Milliseconds(), time.Millisecond)
	case d < 10*time.Second:
		return in(strings.TrimSuffix(strconv.FormatFloat(float64(d/(100*time.Millisecond))/10, 'f', 1, 64), ".0"), time.Second)
	case d < time.Minute:
		return in(int64(d/time.Second), time.Second)
	case d < time.Hour:
		return two(time.Minute, time.Second)
	case d < 24*time.Hour:
		return two(time.Hour, time.Minute)
	}
	return two(24*time.Hour, time.Hour)
}

// ago formats a time relative to now: "now", "12 s ago", "in 3 s".
func (l *locale) ago(t time.Time) template.HTML {
	var text template.HTML
	switch d := time.Since(t); {
	case d <= -time.Second:
		text = l.text("time.in", "Span", (-d).Truncate(time.Second))
	case d < time.Second:
		text = l.text("time.now")
	default:
		text = l.text("time.ago", "Span", d.Truncate(time.Second))
	}
	return timeElement(t, text)
}

// due formats a time to come relative to now: "in 3 s" or, once it has passed, "now".
func (l *locale) due(t time.Time) template.HTML {
	if time.Until(t) < time.Second {
		return timeElement(t, l.text("time.due"))
	}
	return l.ago(t)
}

// clock formats a time of day, with the date where that is not today.
func (l *locale) clock(t time.Time) template.HTML {
	return timeElement(t, template.HTML(l.clockAt(t, time.Now(), "")))
}

// precise is clock with milliseconds.
func (l *locale) precise(t time.Time) template.HTML {
	return timeElement(t, template.HTML(l.clockAt(t, time.Now(), ".000")))
}

// clockAt is the text of clock at another time than now.
func (l *locale) clockAt(t, now time.Time, fraction string) string {
	t, now = t.In(l.Zone), now.In(l.Zone)
	layout := "layout.date_time_year"
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		layout = "layout.time"
	case t.Year() == now.Year():
		layout = "layout.date_time"
	}
	return t.Format(l.plain(layout) + fraction)
}

// timeElement shows a time as text, and in UTC for machines and as a tooltip.
func timeElement(t time.Time, text template.HTML) template.HTML {
	utc := iso(t)
	return template.HTML(`<time datetime="` + utc + `" title="` + utc + `">` + string(text) + `</time>`)
}

// setPreferences keeps the language and the time zone that a person chose, and leads back.
// An empty value undoes the choice.
func (s *site) setPreferences(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	for field, name := range map[string]string{"language": languageCookie, "zone": zoneCookie} {
		if !r.PostForm.Has(field) {
			continue
		}
		cookie := &http.Cookie{
			Name: name, Value: r.PostForm.Get(field), Path: "/", MaxAge: int(preferenceAge.Seconds()),
			HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: secure(r),
		}
		if !s.validPreference(field, cookie.Value) {
			cookie.Value, cookie.MaxAge = "", -1
		}
		http.SetCookie(w, cookie)
	}
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
}

// validPreference reports whether a value is a language or a zone that there is.
func (s *site) validPreference(field, value string) bool {
	if field == "zone" {
		return readZone(value) != nil
	}
	return slices.ContainsFunc(s.texts.languages, func(l languageName) bool { return l.Tag == value })
}

// secure reports whether a request came over HTTPS, to us or to the proxy before us.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
