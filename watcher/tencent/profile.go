package tencent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pushwatch/watcher/setting"
)

// A Profile is a file with the keys of Tencent's own tools. It is read at each request, and may
// change under a running daemon as [Secrets] may. There are two formats:
//
//   - TCCLI's: JSON with "secretId", "secretKey" and, for temporary keys, "token":
//     https://www.tencentcloud.com/document/product/1013/52421. Only TCCLI, when used, renews
//     the keys of a login. A profile that names a role is an error.
//   - that of the SDKs: sections of an ini file with secret_id and secret_key:
//     https://github.com/TencentCloud/tencentcloud-sdk-go#credential-management.
type Profile struct {
	// Path is the file. Empty: TENCENTCLOUD_CREDENTIALS_FILE or, in the home folder, the
	// first that exists of .tccli/<Section>.credential and .tencentcloud/credentials.
	Path string
	// Section is a section of an ini file, or the name of a TCCLI profile. Empty: "default"
	// or, for TCCLI, TCCLI_PROFILE.
	Section string
}

// ErrExpired means that the keys of a profile have expired and can be renewed.
var ErrExpired = errors.New("expired")

// Keys implements [Credentials].
func (p Profile) Keys(context.Context) (Keys, error) {
	path, text, err := p.read()
	if err != nil {
		return Keys{}, fmt.Errorf("profile: %w", err)
	}
	var keys Keys
	if strings.HasPrefix(text, "{") {
		keys, err = parseTCCLI(text)
	} else {
		keys, err = parseINI(text, cmp.Or(p.Section, "default"))
	}
	if err == nil {
		err = keys.validate()
	}
	if err != nil {
		return Keys{}, fmt.Errorf("profile %s: %w", path, err)
	}
	return keys, nil
}

// read returns the path of the profile's file and its trimmed text.
func (p Profile) read() (path, text string, err error) {
	paths, err := p.paths()
	if err != nil {
		return "", "", err
	}
	var missing []error
	for _, path := range paths {
		text, err := setting.File(path).Value()
		if !errors.Is(err, fs.ErrNotExist) {
			return path, text, err
		}
		missing = append(missing, err)
	}
	return "", "", errors.Join(missing...)
}

// paths returns the files to look for, in order.
func (p Profile) paths() ([]string, error) {
	if path := cmp.Or(p.Path, os.Getenv("TENCENTCLOUD_CREDENTIALS_FILE")); path != "" {
		return []string{path}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("no file is named, and no home folder known: %w", err)
	}
	name := cmp.Or(p.Section, os.Getenv("TCCLI_PROFILE"), "default")
	return []string{
		filepath.Join(home, ".tccli", name+".credential"),
		filepath.Join(home, ".tencentcloud", "credentials"),
	}, nil
}

// parseTCCLI reads a profile of TCCLI.
func parseTCCLI(text string) (Keys, error) {
	var file struct {
		Type      string  `json:"type"`
		SecretID  string  `json:"secretId"`
		SecretKey string  `json:"secretKey"`
		Token     string  `json:"token"`
		ExpiresAt float64 `json:"expiresAt"` // Unix seconds; 0: never
		RoleARN   string  `json:"role-arn"`
	}
	if json.Unmarshal([]byte(text), &file) != nil { // its error can quote the text
		return Keys{}, errors.New("is not the JSON of a TCCLI profile")
	}
	expires := time.Unix(int64(file.ExpiresAt), 0)
	switch {
	case file.Type == "cvm-role":
		return Keys{}, errors.New("names the instance's role and no keys: want credentials of the kind cvm-role")
	case file.RoleARN != "":
		return Keys{}, errors.New("has a role-arn to take on, which is not supported: want keys alone")
	case file.ExpiresAt != 0 && !time.Now().Before(expires):
		return Keys{}, fmt.Errorf("its keys %w at %s: TCCLI renews them when it is used", ErrExpired, expires.UTC().Format(time.RFC3339))
	}
	return Keys{SecretID: file.SecretID, SecretKey: file.SecretKey, Token: file.Token}, nil
}

// parseINI reads a section of an SDK's profile. Like the SDKs it ignores other lines.
func parseINI(text, section string) (Keys, error) {
	var keys Keys
	var found, inside bool
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "["+section+"]"
			found = found || inside
		}
		if !inside {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "secret_id":
			keys.SecretID = strings.TrimSpace(value)
		case "secret_key":
			keys.SecretKey = strings.TrimSpace(value)
		}
	}
	if !found {
		return Keys{}, fmt.Errorf("has no section [%s]", section)
	}
	return keys, nil
}
