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

// languageFiles holds a file per language: a template for each event type, and the parts
// that they share.
//
//go:embed lang/*.tmpl
var languageFiles embed.FS

// DefaultLanguage is the language of a [Config] without one.
const DefaultLanguage = "en"

// A language turns events into texts.
type language struct {
	texts *template.Template // by event type; their data is an [event]
	units [3]string          // of hours, minutes and seconds
}

// languages are all languages with a file, by the file's name.
var languages = readLanguages()

func readLanguages() map[string]*language {
	files, err := languageFiles.ReadDir("lang")
	if err != nil {
		panic(err) // the files are part of the binary
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

// text returns the text of an event, in a service's style.
func (l *language) text(body []byte, style *style) (string, error) {
	// Shorten texts from elsewhere first: cutting the whole would lose its end, which
	// names the push, and could cut through an escape.
	for most := maxForeign; ; most /= 2 {
		e, err := readEvent(body, l, style, most)
		if err != nil {
			return "", err
		}
		var text strings.Builder
		if err := l.texts.ExecuteTemplate(&text, string(e.Type), e); err != nil {
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
