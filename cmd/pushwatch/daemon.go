package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/web"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/sqlstore"
)

// A daemon is pushwatch put together from its settings, ready to run.
type daemon struct {
	log        *zap.Logger
	level      zap.AtomicLevel // of log
	metrics    *prometheus.Registry
	db         *sqlstore.DB
	replica    *sqlstore.Replica // nil: this process has the database for itself
	listener   *listener
	server     *http.Server
	handler    *web.Handler
	stopping   chan struct{} // closed when the server stops
	watcher    *watcher.Watcher
	dispatcher *notify.Dispatcher
	hour       *page.Hour
	heartbeat  *heartbeat
	tokens     []web.Token // in force
	unread     string      // what is wrong with the files of tokens and certificate, where that was logged
	silent     atomic.Bool // the database did not answer when it was last asked, which was logged

	mu       sync.Mutex
	settings settings                         // in force
	accounts map[string]watcher.AccountConfig // made from them
	tell     map[string]notify.Notifier       // likewise
	owned    map[string]*ownership            // by account; where there are no replicas
}

// newDaemon opens what the settings name: the database and the address.
func newDaemon(ctx context.Context, s settings, log *zap.Logger, level zap.AtomicLevel) (_ *daemon, err error) {
	d := &daemon{
		log: log, level: level, metrics: prometheus.NewRegistry(), settings: s, stopping: make(chan struct{}),
		accounts: make(map[string]watcher.AccountConfig), owned: make(map[string]*ownership),
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.db, err = openStore(ctx, s.Store, log); err != nil {
		return nil, err
	}
	if d.listener, err = listen(s.HTTP); err != nil {
		return nil, err
	}

	d.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	notifiers, err := d.telling(s)
	if err != nil {
		return nil, err
	}
	d.dispatcher = notify.New(notify.Config{Instance: s.Instance, Notifiers: notifiers, Archive: d.db, Log: log, Metrics: d.metrics})
	config, err := d.watching(s)
	if err != nil {
		return nil, err
	}
	config.Instance, config.Registry, config.Route = s.Instance, d.db, d.dispatcher.Route
	config.Log, config.Metrics = log, d.metrics
	d.watcher = watcher.New(config)
	if d.db.Replicated() {
		d.replica = d.join(s)
	}
	d.hour = page.NewHour()
	d.heartbeat = newHeartbeat(func() heartbeatSettings {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.settings.Heartbeat
	}, d.well, log)
	if d.handler, err = d.serves(s); err != nil {
		return nil, err
	}
	faultLog, err := zap.NewStdLogAt(log.Named("http"), zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	d.server = &http.Server{
		Handler: d.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		WriteTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: faultLog,
	}
	d.server.RegisterOnShutdown(func() { close(d.stopping) }) // for streams to end
	return d, nil
}

// watching is what the watcher needs to know of the settings. The client of an
// account whose settings are as before is kept.
func (d *daemon) watching(s settings) (watcher.Config, error) {
	accounts := make(map[string]watcher.AccountConfig)
	for _, a := range s.Accounts {
		if i := slices.IndexFunc(d.settings.Accounts, func(b accountSettings) bool { return reflect.DeepEqual(a, b) }); i >= 0 {
			if kept, ok := d.accounts[a.Name]; ok {
				accounts[a.Name] = kept
				continue
			}
		}
		account, err := a.config(d.maySend(a.Name))
		if err != nil {
			return watcher.Config{}, err
		}
		if before, ok := d.accounts[a.Name]; ok && a.sameClient(d.settings.account(a.Name)) {
			account.Cloud = before.Cloud
		}
		accounts[a.Name] = account
	}
	d.accounts = accounts
	config := s.Watch.config()
	for _, a := range s.Accounts {
		config.Accounts = append(config.Accounts, accounts[a.Name])
	}
	return config, nil
}

// telling is what the dispatcher needs to know of the settings. A notifier whose
// settings are as before keeps its sender, and with it its connections.
func (d *daemon) telling(s settings) ([]notify.Notifier, error) {
	tell := make(map[string]notify.Notifier)
	var all []notify.Notifier
	for _, n := range s.Notifiers {
		notifier, ok := d.tell[n.Name]
		if !ok || !slices.ContainsFunc(d.settings.Notifiers, func(b notifierSettings) bool { return reflect.DeepEqual(n, b) }) {
			var err error
			if notifier, err = n.config(d.log); err != nil {
				return nil, err
			}
		}
		tell[n.Name] = notifier
		all = append(all, notifier)
	}
	d.tell = tell
	return all, nil
}

// serves returns what answers requests.
func (d *daemon) serves(s settings) (*web.Handler, error) {
	tokens, err := s.tokens()
	if err != nil {
		return nil, err
	}
	d.tokens = tokens
	release, _ := build()
	config := web.Config{
		Tasks: d.watcher, Callbacks: d.watcher, Events: d.db, Deliveries: d.dispatcher, Notifiers: d.dispatcher,
		Tokens: tokens, Hour: d.hour, Metrics: d.metrics, Instance: s.Instance, Version: release, Stopping: d.stopping, Log: d.log,
		Alive: func() error { return d.watcher.Alive(time.Now()) },
		Ready: d.ready,
	}
	if d.replica != nil {
		config.Members, config.Member = d.db.Members, d.replica.Name()
	}
	return web.New(config), nil
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

// ready tells a load balancer whether requests can be served. It tells everybody who
// asks: why the database does not answer, which names it, is for the log, once.
func (d *daemon) ready(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, 2*time.Second)
	defer cancel()
	if err := d.db.Ping(ctx); err != nil {
		if parent.Err() == nil && !d.silent.Swap(true) { // else nobody waits for the answer
			d.log.Warn("the database does not answer", zap.Error(err))
		}
		return errors.New("the database does not answer: the log has more")
	}
	if d.silent.Swap(false) {
		d.log.Info("the database answers again")
	}
	if d.replica != nil {
		if err := d.replica.Ready(); err != nil {
			return err
		}
	}
	return d.watcher.Ready(time.Now())
}

// well returns an error where the daemon does not do its part: what can be polled
// is not polled, what is seen is not saved, or what is saved is not sent.
func (d *daemon) well(ctx context.Context) error {
	now := time.Now()
	return errors.Join(d.watcher.Alive(now), d.dispatcher.Alive(now), d.ready(ctx))
}

// filesEvery is how often the files of the tokens and of the certificate are read.
// Those of other secrets are, when they are used.
const filesEvery = 5 * time.Second

// run runs the daemon until parent ends, when it returns nil, or until it fails.
// ready is called when everything is up; what comes from reloads is put in force.
func (d *daemon) run(parent context.Context, ready func(), reloads <-chan settings) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)

	// Each stage needs the ones above it, and is stopped before them.
	sending, owning, serving := newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail)
	defer sending.stop()
	defer d.disown()
	defer owning.stop()
	defer sending.cancel() // what is under way is sent while the accounts are given up
	defer serving.stop()

	sending.start(d.dispatcher.Run)
	if err := d.watcher.Rehome(ctx); err != nil {
		return err
	}
	if d.replica != nil {
		owning.start(d.replica.Run)
	} else {
		for _, a := range d.settings.Accounts {
			if err := d.own(ctx, a.Name, fail); err != nil {
				return err
			}
		}
	}
	if err := d.ownUnsent(ctx, d.settings, fail); err != nil {
		return err
	}
	if err := d.registerConfigured(ctx); err != nil {
		return err
	}
	serving.start(d.sweep)
	serving.start(func(ctx context.Context) error { return d.hour.Run(ctx, d.handler.Accounts) })
	serving.start(d.serveHTTP)
	serving.start(d.heartbeat.run)
	ready()
	d.log.Info("ready", zap.String("instance", d.settings.Instance), zap.String("listen", d.settings.HTTP.Listen),
		zap.Int("accounts", len(d.settings.Accounts)), zap.Int("notifiers", len(d.settings.Notifiers)))

	files := time.NewTicker(filesEvery)
	defer files.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-files.C:
			d.lookAtFiles()
		case s := <-reloads:
			d.reload(ctx, s, fail)
			ready()
		}
	}
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

// sweep drops what is past its retention, now and then until ctx ends, and looks for
// tasks of accounts that the settings of no replica name by now.
func (d *daemon) sweep(ctx context.Context) error {
	for {
		if err := d.watcher.Rehome(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("look for tasks of accounts that the settings do not name", zap.Error(err))
		}
		n, err := d.db.Sweep(ctx, time.Now().Add(-d.retention()), sweepRows)
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

func (d *daemon) retention() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settings.Store.Retention.Std()
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
