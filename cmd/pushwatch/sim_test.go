package main

import (
	"reflect"
	"strings"
	"testing"

	"pushwatch/watcher/tiwsim"
)

// The scenarios that the help and the documents show can be played.
func TestDocumentedScenarios(t *testing.T) {
	_, fromHelp, _ := strings.Cut(newSim().Example, "# classes.toml\n")
	for name, text := range map[string]string{useDoc: blockWith(t, useDoc, "toml", "prepared_for").text, "help": fromHelp} {
		var config tiwsim.Config
		if doc := decode(name, []byte(text), &config); len(doc.faults) > 0 {
			t.Errorf("scenario of the %s has faults: %v", name, doc.faults)
		}
		if _, err := tiwsim.New(config); err != nil {
			t.Errorf("scenario of the %s: %v", name, err)
		}
		if len(config.Tasks) == 0 || len(config.Tasks[len(config.Tasks)-1].Faults) == 0 || len(config.Faults) == 0 {
			t.Errorf("scenario of the %s = %+v, want tasks and faults in it", name, config)
		}
	}
}

// Every setting of a scenario stands in the help.
func TestHelpNamesEverySettingOfAScenario(t *testing.T) {
	for _, section := range []any{tiwsim.Config{}, tiwsim.Account{}, tiwsim.Life{}, tiwsim.Fault{}} {
		for field := range reflect.TypeOf(section).Fields() {
			if name := field.Tag.Get("toml"); !strings.Contains(newSim().Long, name) {
				t.Errorf("help of sim does not name %s", name)
			}
		}
	}
}
