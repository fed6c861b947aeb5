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
			named := secretsNamed(text, folder)
			for _, name := range named {
				content, ok := map[string]string{
					"webhook-key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
					"store-url":   "postgres://pushwatch@postgres.example/pushwatch",
				}[name]
				if !ok {
					content = "a-secret-of-some-length"
				}
				if err := os.WriteFile(filepath.Join(here, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(named, handed) {
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

// TestExampleSecrets starts with the Kubernetes secrets as they stand in the
// repository, where anybody can read them: every one of them is refused. They are not
// among what is applied at an upgrade either, so that they replace no real ones.
func TestExampleSecrets(t *testing.T) {
	applied, err := filepath.Glob("../../deploy/kubernetes/*.yaml") // as kubectl does: without the folders within
	if err != nil || len(applied) == 0 {
		t.Fatalf("Glob() = %v, %v, want the manifests", applied, err)
	}
	for _, file := range applied {
		if manifest := deployed(t, "kubernetes/"+filepath.Base(file)); strings.Contains(manifest, "kind: Secret") {
			t.Errorf("%s holds a Secret", file)
		}
	}
	text, folder, _ := orchestrated(t)
	here := t.TempDir()
	for name, value := range exampleSecrets(t) {
		if err := os.WriteFile(filepath.Join(here, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = readSettings(settingsFile(t, strings.ReplaceAll(text, folder, here)))
	if err == nil {
		t.Fatal("readSettings() accepts them, want a fault for each")
	}
	for _, name := range secretsNamed(text, folder) {
		if !strings.Contains(err.Error(), filepath.Join(here, name)+": the file is empty") {
			t.Errorf("readSettings() = %v, want a fault of %s too", err, name)
		}
	}
}

// secretsNamed are the files within a folder that settings name, sorted.
func secretsNamed(settings, folder string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`file = "`+regexp.QuoteMeta(folder)+`/([^"]+)"`).FindAllStringSubmatch(settings, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
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
	var config struct{ Data map[string]string }
	if err := yaml.NewDecoder(bytes.NewBufferString(deployed(t, "kubernetes/pushwatch.yaml"))).Decode(&config); err != nil { // the first document
		t.Fatal(err)
	}
	return config.Data["config.toml"], "/run/secrets/pushwatch", slices.Sorted(maps.Keys(exampleSecrets(t)))
}

// exampleSecrets are those that somebody who deploys has to fill in.
func exampleSecrets(t *testing.T) map[string]string {
	t.Helper()
	var secret struct {
		StringData map[string]string `yaml:"stringData"`
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "kubernetes/example/secrets.yaml")), &secret); err != nil {
		t.Fatal(err)
	}
	return secret.StringData
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
