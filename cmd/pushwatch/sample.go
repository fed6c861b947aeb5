package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"pushwatch/notify/signing"
	"pushwatch/watcher/tiwsim"
)

// A sampleFile is a settings file that sim and listen write together, so that trying
// pushwatch needs no editing: sim adds its accounts, listen its receiver. The first of
// them creates the file, with a database in the same folder.
type sampleFile struct {
	path     string
	settings settings // zero if the file does not exist
}

// openSample reads a settings file, which need not exist.
func openSample(path string) (*sampleFile, error) {
	f := &sampleFile{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, usagef("read settings: %w", err)
	}
	return f, decode(path, text, &f.settings).err()
}

// add appends tables to the file.
func (f *sampleFile) add(tables string) error {
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		tables = "[store]\nurl = \"sqlite:pushwatch.db\"\n\n" + tables
	} else if errors.Is(err, fs.ErrExist) {
		out, err = os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0)
	}
	if err != nil {
		return usagef("write settings: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", tables)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// addAccounts adds the accounts of the simulated TIW. Those that the file has already must
// be the same.
func (f *sampleFile) addAccounts(accounts []tiwsim.Account, endpoint string) error {
	for _, a := range accounts {
		i := slices.IndexFunc(f.settings.Accounts, func(s accountSettings) bool { return s.Name == a.Name })
		if i < 0 {
			if err := f.add(accountTable(a, endpoint)); err != nil {
				return err
			}
			continue
		}
		before := f.settings.Accounts[i]
		id, _ := before.SecretID.Value()
		key, _ := before.SecretKey.Value()
		if before.Endpoint != endpoint || id != a.SecretID || key != a.SecretKey || !slices.Equal(before.SDKAppIDs, a.SDKAppIDs) {
			return usagef("%s has another account %q: name another file, or remove that account", f.path, a.Name)
		}
	}
	return nil
}

// sampleNotifier is the name of the receiver that listen adds.
const sampleNotifier = "listen"

// addReceiver adds the receiver at a URL with a new secret, and returns its secrets. If the
// file has the receiver already, it returns those in the file.
func (f *sampleFile) addReceiver(url string) ([]string, error) {
	i := slices.IndexFunc(f.settings.Notifiers, func(n notifierSettings) bool { return n.Name == sampleNotifier })
	if i < 0 {
		secret := signing.GenerateSecret()
		return []string{secret}, f.add(notifierTable(sampleNotifier, url, secret))
	}
	before := f.settings.Notifiers[i]
	if to, err := before.URL.Value(); err != nil || to != url {
		return nil, usagef("%s has a notifier %q at another address: listen there, name another file, or remove that notifier", f.path, sampleNotifier)
	}
	var secrets []string
	for _, s := range before.Secrets {
		secret, err := s.Value()
		if err != nil {
			return nil, usagef("%s: notifier %s: %w", f.path, sampleNotifier, err)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// samplePush is a push of the simulated TIW with the id of the documentation's examples. It
// starts at once and stops after ten minutes.
var samplePush = tiwsim.Life{
	SDKAppID: tiwsim.DemoSDKAppID, TaskID: "ghucnligqtgtvk2624mb",
	PreparedFor: tiwsim.Duration(2 * time.Second), PushingFor: tiwsim.Duration(10 * time.Minute),
	Exceptions: []tiwsim.Duration{tiwsim.Duration(30 * time.Second), tiwsim.Duration(3 * time.Minute)},
}
