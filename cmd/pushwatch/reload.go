package main

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"go.uber.org/zap"
)

// reload puts other settings in force, as far as they differ: what did not change
// is not disturbed. What needs a restart is named in the log and stays as it is.
func (d *daemon) reload(ctx context.Context, s settings, fail context.CancelCauseFunc) {
	d.keepFixed(&s)
	if reflect.DeepEqual(s, d.settings) {
		d.lookAtFiles()
		d.log.Info("settings read again: nothing to put in force but what their files hold")
		return
	}
	notifiers, err := d.telling(s)
	if err != nil {
		d.log.Error("the settings cannot be put in force: those before stay", zap.Error(err))
		return
	}
	config, err := d.watching(s)
	if err != nil {
		d.log.Error("the settings cannot be put in force: those before stay", zap.Error(err))
		return
	}
	before := d.settings
	d.mu.Lock()
	d.settings = s
	d.mu.Unlock()
	d.lookAtFiles()
	if err := d.level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		d.log.Error("the log's level stays as it was", zap.Error(err))
	}
	if !reflect.DeepEqual(before.Notifiers, s.Notifiers) {
		d.dispatcher.Reconfigure(notifiers)
	}
	d.watcher.Reconfigure(config)
	if !reflect.DeepEqual(before.Heartbeat, s.Heartbeat) {
		d.heartbeat.reconfigure()
	}
	d.followAccounts(ctx, s, fail)
	if err := errors.Join(d.watcher.Rehome(ctx), d.ownUnsent(ctx, s, fail)); err != nil {
		d.log.Error("take over what accounts have left that are gone from the settings: read them again to try again", zap.Error(err))
	}
	if err := d.registerConfigured(ctx); err != nil {
		d.log.Error("register the tasks of the settings", zap.Error(err))
	}
	d.log.Info("settings put in force", zap.Int("accounts", len(s.Accounts)), zap.Int("notifiers", len(s.Notifiers)))
}

// admit puts the certificate and the tokens in force. They stand in files that may
// have changed where the settings have not. Of what cannot be read, that from before
// stays.
func (d *daemon) admit() error {
	var faults []error
	if d.settings.HTTP.TLSCertFile != "" {
		changed, err := d.listener.present(d.settings.HTTP)
		if err != nil {
			faults = append(faults, err)
		} else if changed {
			d.log.Info("another certificate is in force")
		}
	}
	tokens, err := d.settings.tokens()
	if err != nil {
		faults = append(faults, err)
	} else if !slices.Equal(tokens, d.tokens) {
		d.handler.SetTokens(tokens)
		d.tokens = tokens
		d.log.Info("other tokens are in force", zap.Int("tokens", len(tokens)))
	}
	return errors.Join(faults...)
}

// lookAtFiles admits what has come to stand in the files. A fault is logged once,
// for as long as it is the same.
func (d *daemon) lookAtFiles() {
	fault := ""
	if err := d.admit(); err != nil {
		fault = err.Error()
	}
	if fault != d.unread && fault != "" {
		d.log.Error("the certificate or the tokens cannot be read again: those before stay", zap.String("error", fault))
	}
	d.unread = fault
}

// keepFixed puts back, and names, the settings that only a start can change.
func (d *daemon) keepFixed(s *settings) {
	now := &d.settings
	var names []string
	keep := func(name string, same bool, put func()) {
		if !same {
			names = append(names, name)
			put()
		}
	}
	keep("instance", s.Instance == now.Instance, func() { s.Instance = now.Instance })
	keep("http.listen", s.HTTP.Listen == now.HTTP.Listen, func() { s.HTTP.Listen = now.HTTP.Listen })
	keep("http.tls_cert_file", (s.HTTP.TLSCertFile == "") == (now.HTTP.TLSCertFile == ""), func() {
		s.HTTP.TLSCertFile, s.HTTP.TLSKeyFile = now.HTTP.TLSCertFile, now.HTTP.TLSKeyFile
	})
	keep("store.url", reflect.DeepEqual(s.Store.URL, now.Store.URL), func() { s.Store.URL = now.Store.URL })
	keep("store.takeover_after", s.Store.TakeoverAfter == now.Store.TakeoverAfter, func() { s.Store.TakeoverAfter = now.Store.TakeoverAfter })
	keep("log.format", s.Log.Format == now.Log.Format, func() { s.Log.Format = now.Log.Format })
	if len(names) > 0 {
		d.log.Warn("settings have changed that need a restart", zap.Strings("settings", names))
	}
}
