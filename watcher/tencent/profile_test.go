package tencent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	tccliProfile = `{"secretId": "AKIDxxSecretIdxx", "secretKey": "kkSecretKeykk", "token": "ttTokentt"}`
	sdkProfile   = "[default]\nsecret_id = AKIDxxSecretIdxx\nsecret_key = kkSecretKeykk\n"
)

var lasting = Keys{SecretID: testKeys.SecretID, SecretKey: testKeys.SecretKey}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestProfile(t *testing.T) {
	for name, test := range map[string]struct {
		text, section string
		want          Keys
	}{
		"TCCLI":                 {tccliProfile, "", Keys(testKeys)},
		"TCCLI without a token": {`{"secretId": "AKIDxxSecretIdxx", "secretKey": "kkSecretKeykk"}`, "", lasting},
		"TCCLI with nothing set": {`{"type": "default", "secretId": "AKIDxxSecretIdxx", "secretKey": "kkSecretKeykk", "token": null, "role-arn": ""}`,
			"", lasting},
		"TCCLI after a login": {`{"type": "oauth", "expiresAt": 9999999999, "oauth": {"site": "intl"}, ` + tccliProfile[1:], "", Keys(testKeys)},
		"SDK":                 {sdkProfile, "", lasting},
		"SDK, from Windows":   {strings.ReplaceAll(sdkProfile, "\n", "\r\n"), "", lasting},
		"SDK, from Notepad":   {"\ufeff" + strings.ReplaceAll(sdkProfile, "\n", "\r\n"), "", lasting},
		"TCCLI, from Notepad": {"\ufeff" + tccliProfile + "\r\n", "", Keys(testKeys)},
		"SDK, no blanks":      {"[default]\nsecret_id=AKIDxxSecretIdxx\nsecret_key=kkSecretKeykk", "", lasting},
		"SDK, value with =":   {"[default]\nsecret_id=a\nsecret_key=b==", "", Keys{SecretID: "a", SecretKey: "b=="}},
		"SDK, comments": {"# secret_id = a\n; secret_key = a\nsecret_id = a\n" + sdkProfile + "#secret_id = b\n;secret_key = b\nregion = ap-singapore\n[other]\nsecret_id = c\n",
			"", lasting},
		"SDK, other section": {"[default]\nsecret_id = a\nsecret_key = a\n" + strings.Replace(sdkProfile, "default", "school", 1), "school", lasting},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "profile")
			write(t, path, test.text)
			got, err := Profile{Path: path, Section: test.section}.Keys(t.Context())
			if err != nil || got != test.want {
				t.Errorf("Keys() = %q, %v, want %q", parts(got), err, parts(test.want))
			}
		})
	}
}

func TestProfileErrorsAreClearAndHoldNoSecrets(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":             {" \n", "the file is empty"},
		"TCCLI cut short":   {tccliProfile[:len(tccliProfile)-5], "not the JSON of a TCCLI profile"},
		"TCCLI mistyped":    {`{"secretKey": {"kkSecretKeykk": 1}}`, "not the JSON of a TCCLI profile"},
		"TCCLI without key": {`{"secretId": "AKIDxxSecretIdxx"}`, "secret key: is empty"},
		"TCCLI with blanks": {`{"secretId": "AKIDxxSecretIdxx ", "secretKey": "kkSecretKeykk"}`, "secret id: holds a blank"},
		"TCCLI expired":     {`{"expiresAt": 1000000000, ` + tccliProfile[1:], "expired at 2001-09-09T01:46:40Z"},
		"TCCLI for CVM":     {`{"type": "cvm-role", ` + tccliProfile[1:], "cvm-role"},
		"TCCLI with a role": {`{"role-arn": "qcs::cam::uin/1:roleName/a", ` + tccliProfile[1:], "role-arn"},
		"SDK without key":   {"[default]\nsecret_id = AKIDxxSecretIdxx\n", "secret key: is empty"},
		"SDK in quotes":     {"[default]\nsecret_id = \"AKIDxxSecretIdxx\"\nsecret_key = 'kkSecretKeykk'\n", "secret id: is in quotes: remove them\nsecret key: is in quotes"},
		"UTF-16":            {"\xff\xfe[\x00d\x00e\x00f\x00", "save it as UTF-8"},
		"SDK, no section":   {strings.Replace(sdkProfile, "[default]", "", 1), "no section [default]"},
		"SDK, like section": {strings.Replace(sdkProfile, "[default]", "[default2]", 1), "no section [default]"},
		"other text":        {"kkSecretKeykk", "no section [default]"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "profile")
			write(t, path, test.text)
			got, err := Profile{Path: path}.Keys(t.Context())
			if err == nil || got != (Keys{}) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("Keys() = %q, %v, want an error with %q and the file", parts(got), err, test.want)
			}
			noSecrets(t, fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestProfileIsFoundAsTheToolsFindIt(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("TCCLI_PROFILE", "")
	t.Setenv("TENCENTCLOUD_CREDENTIALS_FILE", "")
	var profile Profile
	found := func(want string) {
		t.Helper()
		got, err := profile.Keys(t.Context())
		if err != nil || got.SecretID != want {
			t.Errorf("Keys() = %q, %v, want %s", parts(got), err, want)
		}
	}
	_, err := profile.Keys(t.Context())
	for _, want := range []string{".tccli/default.credential", ".tencentcloud/credentials"} {
		if err == nil || !strings.Contains(err.Error(), filepath.Join(home, want)) {
			t.Errorf("Keys() without files = %v, want an error with %s", err, want)
		}
	}
	write(t, filepath.Join(home, ".tencentcloud/credentials"), "[default]\nsecret_id = sdk\nsecret_key = k\n")
	found("sdk")
	for _, name := range []string{"default", "school", "other"} {
		write(t, filepath.Join(home, ".tccli", name+".credential"), fmt.Sprintf(`{"secretId": %q, "secretKey": "k"}`, name))
	}
	found("default")
	t.Setenv("TCCLI_PROFILE", "school")
	found("school")
	profile.Section = "other"
	found("other")
	write(t, filepath.Join(home, "named"), "[other]\nsecret_id = named\nsecret_key = k\n")
	t.Setenv("TENCENTCLOUD_CREDENTIALS_FILE", filepath.Join(home, "named"))
	found("named")
	write(t, filepath.Join(home, "path"), `{"secretId": "path", "secretKey": "k"}`)
	profile.Path = filepath.Join(home, "path")
	found("path")
}

func TestProfileWithoutAHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("TENCENTCLOUD_CREDENTIALS_FILE", "")
	if _, err := (Profile{}).Keys(t.Context()); err == nil || !strings.Contains(err.Error(), "home") {
		t.Errorf("Keys() = %v, want an error of the home folder", err)
	}
}
