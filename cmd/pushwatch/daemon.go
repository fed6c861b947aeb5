package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"pushwatch/notify"
	"pushwatch/notify/chat"
	"pushwatch/notify/webhook"
	"pushwatch/watcher"
	"pushwatch/watcher/sqlstore"
	"pushwatch/watcher/tencent"
	"pushwatch/watcher/web"
)

// A daemon is pushwatch put together from its settings, ready to run.
type daemon struct {
	settings   settings
	log        *zap.Logger
	db         *sqlstore.DB
	listener   net.Listener
	server     *http.Server
	watcher    *watcher.Watcher
	dispatcher *notify.Dispatcher
}

// newDaemon opens what the settings name: the database and the address.
func newDaemon(ctx context.Context, s settings, log *zap.Logger) (_ *daemon, err error) {
	d := &daemon{settings: s, log: log}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	url, err := s.Store.URL.Value()
	if err != nil {
		return nil, err
	}
	if d.db, err = sqlstore.Open(ctx, sqlstore.Config{URL: url, Log: log}); err != nil {
		if errors.Is(err, sqlstore.ErrNewer) || errors.Is(err, sqlstore.ErrFolder) {
			return nil, &usageError{err}
		}
		return nil, err
	}
	if d.listener, err = listen(s.HTTP); err != nil {
		return nil, err
	}

	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	notifiers, err := s.notifiers(log)
	if err != nil {
		return nil, err
	}
	d.dispatcher = notify.New(notify.Config{Instance: s.Instance, Notifiers: notifiers, Archive: d.db, Log: log, Metrics: metrics})
	accounts, err := s.accounts()
	if err != nil {
		return nil, err
	}
	d.watcher = watcher.New(watcher.Config{
		Instance: s.Instance, Accounts: accounts, Registry: d.db, Route: d.dispatcher.Route, Log: log, Metrics: metrics,
		MaxStaleness: s.Watch.MaxStaleness.Std(), MinInterval: s.Watch.MinInterval.Std(), RequestTimeout: s.Watch.RequestTimeout.Std(),
		BlindAfter: s.Watch.BlindAfter.Std(),
		Rules: watcher.Rules{
			NotFoundGrace: s.Watch.NotFoundGrace.Std(), Confirmations: s.Watch.Confirmations,
			StalledAfter: s.Watch.StalledAfter.Std(), OverdueAfter: s.Watch.OverdueAfter.Std(),
		},
	})
	tokens, err := s.tokens()
	if err != nil {
		return nil, err
	}
	release, _ := build()
	d.server = &http.Server{
		Handler: web.New(web.Config{
			Tasks: d.watcher, Callbacks: d.watcher, Tokens: tokens, Metrics: metrics, Version: release, Log: log,
			Alive: func() error { return d.watcher.Alive(time.Now()) },
			Ready: d.ready,
		}),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: zap.NewStdLog(log),
	}
	return d, nil
}

// close gives back what newDaemon opened.
func (d *daemon) close() error {
	var errs []error
	if d.listener != nil {
		d.listener.Close() // closed already, where the server has run
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(errs...)
}

// ready tells a load balancer whether requests can be served.
func (d *daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := d.db.Ping(ctx); err != nil {
		return err
	}
	return d.watcher.Ready(time.Now())
}

// listen opens the address of the API.
func listen(s httpSettings) (net.Listener, error) {
	network, address := "tcp", s.Listen
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		network, address = "unix", path
		if c, err := net.Dial("unix", path); err == nil { // else a crash has left it
			c.Close()
			return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another http.listen", s.Listen)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("listen on %s: %w", s.Listen, err)
		}
	}
	l, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another http.listen", s.Listen)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, usagef("listen on %s: %w: choose an http.listen that this user may open", s.Listen, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", s.Listen, err)
	}
	if s.TLSCertFile == "" {
		return l, nil
	}
	certificate, err := tls.LoadX509KeyPair(s.TLSCertFile, s.TLSKeyFile)
	if err != nil {
		l.Close()
		return nil, usagef("read certificate http.tls_cert_file and http.tls_key_file: %w", err)
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// A stage is a part of the daemon that runs until it is stopped. The stages stop
// one after the other, so that each still has what it needs below it.
type stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	fail   context.CancelCauseFunc
	parts  sync.WaitGroup
}

func newStage(ctx context.Context, fail context.CancelCauseFunc) *stage {
	s := &stage{fail: fail}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// start runs a part. Its error stops the daemon.
func (s *stage) start(part func(context.Context) error) {
	s.parts.Go(func() {
		if err := part(s.ctx); err != nil {
			s.fail(err)
		}
	})
}

func (s *stage) stop() {
	s.cancel()
	s.parts.Wait()
}

// run runs the daemon until parent ends, when it returns nil, or until it fails.
// ready is called when everything is up.
func (d *daemon) run(parent context.Context, ready func()) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)

	writing, settling, sending, polling := newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail)
	defer writing.stop() // last of all
	defer settling.stop()
	defer sending.stop()
	defer polling.stop()

	sending.start(d.dispatcher.Run)
	for _, a := range d.settings.Accounts {
		account, err := d.db.Own(ctx, a.Name)
		if err != nil {
			return err
		}
		feed := d.dispatcher.Feed(a.Name, account)
		writing.start(account.Run)
		settling.start(feed.Run)
		polling.start(func(ctx context.Context) error { return d.watcher.Watch(ctx, a.Name, account) })
	}
	if err := d.registerConfigured(ctx); err != nil {
		return err
	}
	writing.start(d.sweep)
	polling.start(d.serveHTTP)
	ready()
	d.log.Info("ready", zap.String("instance", d.settings.Instance), zap.String("listen", d.settings.HTTP.Listen),
		zap.Int("accounts", len(d.settings.Accounts)), zap.Int("notifiers", len(d.settings.Notifiers)))

	<-ctx.Done()
	cause := context.Cause(ctx)
	d.log.Info("stopping", zap.NamedError("cause", cause))
	switch {
	case parent.Err() != nil:
		return nil
	case errors.Is(cause, watcher.ErrFenced):
		return fmt.Errorf("%w: another pushwatch has taken over this database", cause)
	default:
		return cause
	}
}

const (
	sweepEvery = 10 * time.Minute
	sweepPause = 100 * time.Millisecond // between steps, for the others that write
	sweepRows  = 500
)

// sweep drops what is past its retention, now and then until ctx ends.
func (d *daemon) sweep(ctx context.Context) error {
	for {
		n, err := d.db.Sweep(ctx, time.Now().Add(-d.settings.Store.Retention.Std()), sweepRows)
		wait := sweepEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.log.Error("drop what is past its retention", zap.Error(err))
		case n > 0:
			wait = sweepPause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// registerConfigured registers the tasks that stand in the settings.
func (d *daemon) registerConfigured(ctx context.Context) error {
	var wanted []watcher.Registration
	for _, t := range d.settings.Tasks {
		wanted = append(wanted, watcher.Registration{Key: watcher.Key{SDKAppID: t.SDKAppID, TaskID: t.TaskID}, Labels: t.Labels})
	}
	if len(wanted) == 0 {
		return nil
	}
	_, _, err := d.watcher.Register(ctx, wanted, false)
	return err
}

// serveHTTP serves until ctx ends, and then lets requests under way finish.
func (d *daemon) serveHTTP(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if d.server.Shutdown(grace) != nil {
			d.server.Close()
		}
	}()
	if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	<-stopped
	return nil
}

// accounts are the accounts as the watcher takes them.
func (s *settings) accounts() ([]watcher.AccountConfig, error) {
	var all []watcher.AccountConfig
	for _, a := range s.Accounts {
		cloud, err := a.cloud()
		if err != nil {
			return nil, err
		}
		account := watcher.AccountConfig{
			Name: a.Name, SDKAppIDs: a.SDKAppIDs, RequestsPerSecond: a.RequestsPerSecond, Cloud: cloud,
			RegisterCallbacks: a.RegisterCallbacks,
		}
		if !a.CallbackKey.IsZero() {
			account.CallbackKey = a.CallbackKey.Value
		}
		all = append(all, account)
	}
	return all, nil
}

// cloud is the client that speaks for the account.
func (a *accountSettings) cloud() (watcher.Cloud, error) {
	client, err := tencent.New(tencent.Config{
		Endpoint: a.Endpoint, Region: a.Region,
		Credentials: a.credentials(),
	})
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", a.Name, err)
	}
	return client, nil
}

// credentials are where the account's keys come from.
func (a *accountSettings) credentials() tencent.Credentials {
	switch a.Credentials {
	case "cvm-role":
		return &tencent.Role{Name: a.Role}
	case "profile":
		return tencent.Profile{Path: a.ProfileFile, Section: a.Profile}
	default:
		return tencent.Secrets{ID: a.SecretID, Key: a.SecretKey, Token: a.SessionToken}
	}
}

// notifiers are the notifiers as the dispatcher takes them.
func (s *settings) notifiers(log *zap.Logger) ([]notify.Notifier, error) {
	var all []notify.Notifier
	for _, n := range s.Notifiers {
		out := notify.Notifier{
			Name: n.Name, Type: n.Type, Filter: notify.Filter{Events: n.Events, Match: n.Match},
			Timeout: n.Timeout.Std(), MaxInFlight: n.MaxInFlight, MaxAge: n.MaxAge.Std(), Fallback: n.Fallback,
		}
		switch n.Type {
		case "log":
			out.Sender = notify.Log{Logger: log.Named(n.Name)}
		case "webhook":
			sender, err := webhook.New(n.webhook())
			if err != nil {
				return nil, fmt.Errorf("notifier %s: %w", n.Name, err)
			}
			out.Sender = sender
		case "chat":
			sender, err := chat.New(n.chat())
			if err != nil {
				return nil, fmt.Errorf("notifier %s: %w", n.Name, err)
			}
			out.Sender, out.MaxInFlight = sender, 1 // it sends one at a time anyway
		}
		all = append(all, out)
	}
	return all, nil
}

// webhook is the notifier as its sender takes it.
func (n *notifierSettings) webhook() webhook.Config {
	c := webhook.Config{
		Name: n.Name, URL: n.URL, Secrets: n.Secrets, ContentType: n.ContentType, Headers: n.Headers,
		Timeout: n.Timeout.Std(), MaxInFlight: n.MaxInFlight, CAFile: n.CAFile,
		ClientCertFile: n.ClientCertFile, ClientKeyFile: n.ClientKeyFile, ProxyURL: n.ProxyURL, FinalStatus: n.FinalStatus,
	}
	for _, cidr := range n.AllowCIDRs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil { // else it is a fault of the settings
			c.AllowCIDRs = append(c.AllowCIDRs, prefix)
		}
	}
	return c
}

// chat is the notifier as its sender takes it.
func (n *notifierSettings) chat() chat.Config {
	return chat.Config{Name: n.Name, URL: n.URL, Timeout: n.Timeout.Std()}
}

// tokens are the API's tokens.
func (s *settings) tokens() ([]web.Token, error) {
	var all []web.Token
	for _, t := range s.HTTP.Tokens {
		value, err := t.Secret.Value()
		if err != nil {
			return nil, fmt.Errorf("http.tokens %s: %w", t.Name, err)
		}
		all = append(all, web.NewToken(t.Name, value, web.Role(t.Role)))
	}
	return all, nil
}

// buildInfo is the metric that tells the version.
func buildInfo() prometheus.Collector {
	release, commit := build()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pushwatch_build_info", Help: "Always 1; its labels tell what runs."}, []string{"version", "commit", "go"})
	g.WithLabelValues(release, commit, runtime.Version()).Set(1)
	return g
}
