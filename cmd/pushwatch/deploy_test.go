package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDeployedSettings checks the settings that the packages, the compose file and
// the Kubernetes manifests install: they have no fault, and each
// secret that they name is one that is handed over.
func TestDeployedSettings(t *testing.T) {
	for name, read := range map[string]func(t *testing.T) (settings, folder string, secrets []string){
		"package":    packaged,
		"compose":    composed,
		"kubernetes": orchestrated,
	} {
		t.Run(name, func(t *testing.T) {
			text, folder, handed := read(t)
			here := t.TempDir()
			var named []string
			for _, m := range regexp.MustCompile(`file = "`+regexp.QuoteMeta(folder)+`/([^"]+)"`).FindAllStringSubmatch(text, -1) {
				content, ok := map[string]string{
					"webhook-key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
					"store-url":   "postgres://pushwatch@postgres.example/pushwatch",
				}[m[1]]
				if !ok {
					content = "a secret of some length"
				}
				if err := os.WriteFile(filepath.Join(here, m[1]), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				named = append(named, m[1])
			}
			if slices.Sort(named); !slices.Equal(named, handed) {
				t.Errorf("the settings name the secrets %v, want %v, those that are handed over", named, handed)
			}
			file := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, folder, here)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, doc, err := readSettings(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range doc.sorted(true) {
				// Between containers the way is the cluster's to guard.
				if name == "package" || !strings.Contains(w.text, "without TLS") {
					t.Errorf("warning: %v, want none", w)
				}
			}
		})
	}
}

// packaged are the settings of the .deb and the .rpm, and the credentials that the
// unit loads.
func packaged(t *testing.T) (settings, folder string, secrets []string) {
	for _, m := range regexp.MustCompile(`(?m)^LoadCredential=([^:]+):`).FindAllStringSubmatch(deployed(t, "systemd/pushwatch.service"), -1) {
		secrets = append(secrets, m[1])
	}
	slices.Sort(secrets)
	return deployed(t, "package/config.toml"), "/run/credentials/pushwatch.service", secrets
}

func composed(t *testing.T) (settings, folder string, secrets []string) {
	var c struct {
		Services map[string]struct{ Secrets []string }
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "docker/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return deployed(t, "docker/config.toml"), "/run/secrets", slices.Sorted(slices.Values(c.Services["pushwatch"].Secrets))
}

func orchestrated(t *testing.T) (settings, folder string, secrets []string) {
	var secret struct {
		StringData map[string]string `yaml:"stringData"`
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "kubernetes/secrets.yaml")), &secret); err != nil {
		t.Fatal(err)
	}
	var config struct{ Data map[string]string }
	if err := yaml.NewDecoder(bytes.NewBufferString(deployed(t, "kubernetes/pushwatch.yaml"))).Decode(&config); err != nil { // the first document
		t.Fatal(err)
	}
	return config.Data["config.toml"], "/run/secrets/pushwatch", slices.Sorted(maps.Keys(secret.StringData))
}

// deployed returns a file below deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
