package main

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"go.uber.org/zap"
)

// hintReload is the advice after an error that another reload may fix.
var hintReload = zap.String("hint", "reload the settings to try again")

// reload applies the changes of the settings. If any part cannot be built from them, they
// are rejected and nothing changes. Changes that need a restart are logged and not applied.
func (d *daemon) reload(ctx context.Context, s settings, fail context.CancelCauseFunc) {
	d.keepFixed(&s)
	before := d.settings.Load()
	if reflect.DeepEqual(&s, before) {
		d.lookAtFiles()
		d.log.Info("settings unchanged")
		return
	}
	notifiers, err := d.notifierConfigs(&s)
	if err != nil {
		rejectSettings(d.log, err)
		return
	}
	accounts, err := d.accountConfigs(&s)
	if err != nil {
		rejectSettings(d.log, err)
		return
	}
	d.accounts, d.notifiers = accounts, notifiers
	d.settings.Store(&s)
	d.lookAtFiles()
	if err := d.level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		d.log.Error("log level not changed", zap.Error(err))
	}
	if !reflect.DeepEqual(before.Notifiers, s.Notifiers) {
		d.dispatcher.Reconfigure(notifiers)
	}
	d.watcher.Reconfigure(s.Watch.config(accounts))
	if !reflect.DeepEqual(before.Heartbeat, s.Heartbeat) {
		d.heartbeat.reconfigure()
	}
	d.followAccounts(ctx, fail)
	if err := errors.Join(d.watcher.Rehome(ctx), d.ownUnsent(ctx, fail)); err != nil {
		d.log.Error("taking over removed accounts failed", zap.Error(err), hintReload)
	}
	if err := d.registerConfigured(ctx); err != nil {
		d.log.Error("registering configured tasks failed", zap.Error(err), hintReload)
	}
	d.log.Info("settings applied", zap.Int("accounts", len(s.Accounts)), zap.Int("notifiers", len(s.Notifiers)))
}

// rejectSettings logs that settings were rejected, with a line per fault.
func rejectSettings(log *zap.Logger, err error) {
	faults := []string{err.Error()}
	if invalid, ok := errors.AsType[*settingsError](err); ok {
		faults = nil
		for _, f := range invalid.doc.sorted(false) {
			faults = append(faults, invalid.doc.print(f))
		}
	}
	for _, fault := range faults {
		log.Error("settings rejected", zap.String("error", fault), zap.String("hint", "the previous settings stay in effect"))
	}
}

// readFiles reads the certificate and the tokens again, whose files may have changed. What
// cannot be read stays as it is.
func (d *daemon) readFiles() error {
	var faults []error
	s := d.settings.Load()
	if s.HTTP.TLSCertFile != "" {
		changed, err := d.listener.present(s.HTTP)
		if err != nil {
			faults = append(faults, err)
		} else if changed {
			d.log.Info("certificate replaced")
		}
	}
	tokens, err := s.tokens()
	if err != nil {
		faults = append(faults, err)
	} else if !slices.Equal(tokens, d.tokens) {
		d.handler.SetTokens(tokens)
		d.tokens = tokens
		d.log.Info("tokens replaced", zap.Int("tokens", len(tokens)))
	}
	return errors.Join(faults...)
}

// lookAtFiles applies changes of the certificate and token files. It logs the same fault
// only once.
func (d *daemon) lookAtFiles() {
	fault := ""
	if err := d.readFiles(); err != nil {
		fault = err.Error()
	}
	if fault != d.unread && fault != "" {
		d.log.Error("certificate or tokens rejected", zap.String("error", fault), zap.String("hint", "the previous ones stay in effect"))
	}
	d.unread = fault
}

// keepFixed restores the settings that only a restart can change, and logs their names.
func (d *daemon) keepFixed(s *settings) {
	now := d.settings.Load()
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
		d.log.Warn("settings need a restart", zap.Strings("settings", names))
	}
}
