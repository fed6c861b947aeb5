package setting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "720h": 720 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, d.Std(), err, want)
		}
	}
	for _, text := range []string{"", "90", "5 s", "soon"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "90s") {
			t.Errorf("UnmarshalText(%q) = %v, want an error with an example", text, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Minute: "1m", 90 * time.Second: "1m30s", 72 * time.Hour: "72h", 250 * time.Millisecond: "250ms", 0: "0s"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("Duration(%d).String() = %q, want %q", d, got, want)
		}
	}
}

func TestSecretValue(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key")
	if err := os.WriteFile(path, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "empty"), []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PUSHWATCH_TEST_SECRET", " from-env ")
	for _, c := range []struct {
		secret Secret
		want   string
	}{
		{File(path), "from-file"},
		{Env("PUSHWATCH_TEST_SECRET"), "from-env"},
		{Plain("plain"), "plain"},
	} {
		if got, err := c.secret.Value(); err != nil || got != c.want {
			t.Errorf("%s: Value() = %q, %v, want %q", c.secret.Where(), got, err, c.want)
		}
	}
	for _, secret := range []Secret{{}, File(filepath.Join(folder, "none")), File(filepath.Join(folder, "empty")), File(folder), File("/dev/zero"), Env("PUSHWATCH_TEST_NONE")} {
		if got, err := secret.Value(); err == nil {
			t.Errorf("%s: Value() = %q, want an error", secret.Where(), got)
		}
	}
}

// TestWindowsSecret reads secrets as Windows and careless hands leave them: with a byte
// order mark and CRLF, as UTF-16, and in quotes.
func TestWindowsSecret(t *testing.T) {
	for text, want := range map[string]string{
		"\ufeffAKIDschool\r\n":             "AKIDschool",
		"AKIDschool\r\n":                   "AKIDschool",
		"\ufeff\r\n":                       "error: is empty",
		"\xff\xfeA\x00K\x00I\x00D\x00":     "error: save it as UTF-8",
		"\xfe\xff\x00A\x00K\x00I\x00D":     "error: save it as UTF-8",
		"A\x00K\x00I\x00D\x00\r\x00\n\x00": "error: save it as UTF-8",
		"\"AKIDschool\"\r\n":               "error: in quotes: remove them",
		"'AKIDschool'":                     "error: in quotes: remove them",
		"it's":                             "it's",
		`"`:                                `"`,
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		secrets := []Secret{File(path)}
		if !strings.Contains(text, "\x00") { // which no variable can hold
			t.Setenv("PUSHWATCH_TEST_SECRET", text)
			secrets = append(secrets, Env("PUSHWATCH_TEST_SECRET"))
		}
		for _, secret := range secrets {
			got, err := secret.Value()
			if err != nil {
				if strings.Contains(err.Error(), "AKID") {
					t.Errorf("%s: the error shows the secret: %v", secret.Where(), err)
				}
				got = "error: " + err.Error()
			}
			reason, fails := strings.CutPrefix(want, "error: ")
			if secret.Where() == "env PUSHWATCH_TEST_SECRET" {
				reason = strings.Replace(reason, "is empty", "is not set or empty", 1)
			}
			if fails != (err != nil) || !strings.HasSuffix(got, reason) {
				t.Errorf("%s with %q: Value() = %q, want %q", secret.Where(), text, got, want)
			}
		}
	}
}

// TestSecretNeverPrints puts a secret through everything that prints.
func TestSecretNeverPrints(t *testing.T) {
	const hidden = "hush-hush"
	type section struct {
		Key  Secret
		Keys []Secret
		Ptr  *Secret
	}
	s := Plain(hidden)
	v := section{Key: s, Keys: []Secret{s}, Ptr: &s}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %d %x\n", v, v, v, s, s, s, s)
	fmt.Fprintln(&out, s, &s)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, toml.Marshal} {
		text, err := marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel))
	log.Info("settings", zap.Any("section", v), zap.Stringer("secret", stringer{s}), zap.Reflect("key", s))
	if strings.Contains(out.String(), hidden) || strings.Contains(out.String(), fmt.Sprintf("%x", hidden)) {
		t.Errorf("the secret shows in:\n%s", out.String())
	}
	if !strings.Contains(out.String(), Mask) {
		t.Errorf("no mask in:\n%s", out.String())
	}
}

type stringer struct{ s Secret }

func (s stringer) String() string { return fmt.Sprint(s.s) }
