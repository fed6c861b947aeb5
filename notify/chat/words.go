package chat

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"
)

// A language is one file: a text for each type of event, and the parts that the
// texts share.
//
//go:embed lang/*.tmpl
var languageFiles embed.FS

// DefaultLanguage is the language of a [Config] without one.
const DefaultLanguage = "en"

// A language puts events into words.
type language struct {
	texts *template.Template // by type of event; they are made of an [event]
	units [3]string          // of hours, minutes and seconds
}

// languages are all that there is a file for, by the file's name.
var languages = readLanguages()

func readLanguages() map[string]*language {
	files, err := languageFiles.ReadDir("lang")
	if err != nil {
		panic(err) // it is part of the binary
	}
	all := make(map[string]*language)
	for _, file := range files {
		l := &language{texts: template.Must(template.ParseFS(languageFiles, path.Join("lang", file.Name())))}
		var units strings.Builder
		if err := l.texts.ExecuteTemplate(&units, "units", nil); err != nil {
			panic(err)
		}
		copy(l.units[:], strings.Fields(units.String()))
		all[strings.TrimSuffix(file.Name(), path.Ext(file.Name()))] = l
	}
	return all
}

// Languages returns the languages that a [Config] can name.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }

// text puts an event into words, for a service that takes texts in this style.
func (l *language) text(body []byte, style *style) (string, error) {
	// What is foreign is shortened first: a cut of the whole would take the end, which
	// says what it is about, and could go through the middle of an escape.
	for most := maxForeign; ; most /= 2 {
		e, err := readEvent(body, l, style, most)
		if err != nil {
			return "", err
		}
		var text strings.Builder
		if err := l.texts.ExecuteTemplate(&text, string(e.kind()), e); err != nil {
			return "", fmt.Errorf("put event into words: %w", err)
		}
		if style.fits(text.String()) {
			return text.String(), nil
		}
		if most == 0 {
			return style.cut(text.String()), nil
		}
	}
}
