package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/cmd/pushwatch/internal/web"
	"pushwatch/cmd/pushwatch/internal/web/page"
	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/engine"
	"pushwatch/watcher/loop"
	"pushwatch/watcher/tencent"
)

// A daemon is all parts of pushwatch, wired by its settings and ready to run.
type daemon struct {
	log        *zap.Logger
	level      zap.AtomicLevel // of log
	metrics    *prometheus.Registry
	db         *sqlstore.DB
	replica    *sqlstore.Replica // nil: no other process uses the database
	listener   *listener
	server     *http.Server
	handler    *web.Handler
	stopping   chan struct{} // closed when the server stops
	watcher    *engine.Watcher
	dispatcher *notify.Dispatcher
	history    *page.History
	heartbeat  *heartbeat
	tokens     []web.Token // that the API accepts
	unread     string      // the last logged fault of the token and certificate files
	silent     atomic.Bool // the database did not answer the last ping, and this was logged

	unreadableFields *prometheus.CounterVec // of TIW's answers, by account and name

	settings  atomic.Pointer[settings] // the effective ones
	accounts  []engine.AccountConfig   // made from settings, in their order
	notifiers []notify.Notifier        // made from settings, in their order
	owned     map[string]*ownership    // by account; only without replicas
}

// newDaemon opens the database and the listen address, and wires the parts.
func newDaemon(ctx context.Context, s settings, log *zap.Logger, level zap.AtomicLevel) (_ *daemon, err error) {
	d := &daemon{
		log: log, level: level, metrics: prometheus.NewRegistry(), stopping: make(chan struct{}),
		owned: make(map[string]*ownership),
	}
	d.settings.Store(new(settings))
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.db, err = openStore(ctx, s.Store, log); err != nil {
		return nil, err
	}
	if d.listener, err = listen(s.HTTP, log); err != nil {
		return nil, err
	}

	d.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	d.unreadableFields = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pushwatch_unreadable_fields_total", Help: "Fields of TIW's answers that could not be read and count as null.",
	}, []string{"account", "field"})
	d.metrics.MustRegister(d.unreadableFields)
	if d.notifiers, err = d.notifierConfigs(&s); err != nil {
		return nil, err
	}
	d.dispatcher = notify.New(notify.Config{Instance: s.Instance, Notifiers: d.notifiers, Archive: d.db, Log: log, Metrics: d.metrics})
	if d.accounts, err = d.accountConfigs(&s); err != nil {
		return nil, err
	}
	d.settings.Store(&s)
	d.watcher = engine.New(engine.Config{
		Settings: s.Watch.config(d.accounts), Instance: s.Instance, Registry: d.db, Route: d.dispatcher.Route,
		Log: log, Metrics: d.metrics,
	})
	if d.db.Replicated() {
		d.replica = d.join(s)
	}
	d.history = page.NewHistory()
	d.heartbeat = newHeartbeat(func() heartbeatSettings { return d.settings.Load().Heartbeat }, d.well, log)
	if d.handler, err = d.serves(s); err != nil {
		return nil, err
	}
	d.server = web.NewServer(d.handler, log.Named("http"))
	d.server.RegisterOnShutdown(func() { close(d.stopping) }) // for streams to end
	return d, nil
}

// client returns the configuration of an account's client.
func (d *daemon) client(a accountSettings) tencent.Config {
	c := a.client()
	c.MaySend = d.maySend(a.Name)
	c.Log = d.log.With(zap.String("account", a.Name))
	c.CountUnreadable = func(field string) { d.unreadableFields.WithLabelValues(a.Name, field).Inc() }
	return c
}

// accountConfigs returns the watcher's configuration of each account in s. An account keeps
// its client while the client's settings are unchanged. d is not changed.
func (d *daemon) accountConfigs(s *settings) ([]engine.AccountConfig, error) {
	before := d.settings.Load().Accounts
	configs := make([]engine.AccountConfig, len(s.Accounts))
	for i, a := range s.Accounts {
		var cloud watcher.Cloud
		var err error
		known := slices.IndexFunc(before, func(b accountSettings) bool { return b.Name == a.Name })
		if known >= 0 && reflect.DeepEqual(a.client(), before[known].client()) {
			cloud = d.accounts[known].Cloud
		} else if cloud, err = a.cloud(d.client(a)); err != nil {
			return nil, err
		}
		configs[i] = a.config(cloud)
	}
	return configs, nil
}

// notifierConfigs returns the dispatcher's configuration of each notifier in s. A notifier
// keeps its sender, and so its connections, while its settings are unchanged. d is not
// changed.
func (d *daemon) notifierConfigs(s *settings) ([]notify.Notifier, error) {
	before := d.settings.Load().Notifiers
	configs := make([]notify.Notifier, len(s.Notifiers))
	for i, n := range s.Notifiers {
		known := slices.IndexFunc(before, func(b notifierSettings) bool { return reflect.DeepEqual(b, n) })
		if known >= 0 {
			configs[i] = d.notifiers[known]
			continue
		}
		var err error
		if configs[i], err = n.config(d.log); err != nil {
			return nil, err
		}
	}
	return configs, nil
}

// serves returns the handler of the API and the page.
func (d *daemon) serves(s settings) (*web.Handler, error) {
	tokens, err := s.tokens()
	if err != nil {
		return nil, err
	}
	d.tokens = tokens
	release, _ := build()
	config := web.Config{
		Tasks: d.watcher, Callbacks: d.watcher, Events: d.db, Dispatcher: d.dispatcher,
		Tokens: tokens, History: d.history, Metrics: prometheus.Gatherers{d.metrics, databaseMetrics(d.db)}, Instance: s.Instance, Version: release, Stopping: d.stopping, Log: d.log,
		Alive: func() error { return d.watcher.Alive(time.Now()) },
		Ready: d.ready,
	}
	if d.replica != nil {
		config.Members, config.Member = d.db.Members, d.replica.Name()
	}
	return web.New(config), nil
}

// close closes the database and the listener.
func (d *daemon) close() error {
	if d.listener != nil {
		d.listener.Close() // already closed if the server ran
	}
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}

// ready reports whether requests can be served. The answer is public, so the cause of a
// database fault, which may name the database, only goes to the log, once.
func (d *daemon) ready(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, 2*time.Second)
	defer cancel()
	if err := d.db.Ping(ctx); err != nil {
		if parent.Err() == nil && !d.silent.Swap(true) { // otherwise it was the request that ended
			d.log.Warn("database does not answer", zap.Error(err))
		}
		return errors.New("the database does not answer: see the log")
	}
	if d.silent.Swap(false) {
		d.log.Info("database answers again")
	}
	if d.db.Health() != nil { // its cause is in the log
		return errors.New("the database refuses writes: see the log")
	}
	if d.replica != nil {
		if err := d.replica.Ready(); err != nil {
			return err
		}
	}
	return d.watcher.Ready(time.Now())
}

// well returns an error while the daemon itself cannot poll, save or deliver.
func (d *daemon) well(ctx context.Context) error {
	now := time.Now()
	return errors.Join(d.watcher.Alive(now), d.dispatcher.Alive(now), d.ready(ctx))
}

// filesEvery is how often the token and certificate files are read. The files of other
// secrets are read at each use.
const filesEvery = 5 * time.Second

// run runs the daemon until parent ends, when it returns nil, or until it fails. It calls
// ready once everything is up and after each reload, and applies the settings that
// reloads delivers.
func (d *daemon) run(parent context.Context, ready func(), reloads <-chan settings) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)

	// A stage needs the ones before it, and is stopped before them.
	sending, owning, serving := newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail)
	defer sending.stop()
	defer d.disown()
	defer owning.stop()
	defer sending.cancel() // attempts in flight end while the accounts are released
	defer serving.stop()

	sending.start(d.db.Monitor)
	sending.start(d.dispatcher.Run)
	if err := d.ownAll(ctx, owning, fail); err != nil {
		return err
	}
	if err := d.registerConfigured(ctx); err != nil {
		return err
	}
	serving.start(d.sweep)
	serving.start(func(ctx context.Context) error { return d.history.Run(ctx, d.handler.Accounts) })
	serving.start(d.serveHTTP)
	serving.start(d.heartbeat.run)
	ready()
	s := d.settings.Load()
	d.log.Info("ready", zap.String("instance", s.Instance), zap.String("listen", s.HTTP.Listen),
		zap.Int("accounts", len(s.Accounts)), zap.Int("notifiers", len(s.Notifiers)))

	d.follow(ctx, ready, reloads, fail)
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

// ownAll takes ownership of all accounts or, among replicas, of this process's share.
func (d *daemon) ownAll(ctx context.Context, owning *stage, fail context.CancelCauseFunc) error {
	if err := d.watcher.Rehome(ctx); err != nil {
		return err
	}
	if d.replica != nil {
		owning.start(d.replica.Run)
	} else {
		for _, name := range d.settings.Load().accountNames() {
			if err := d.own(ctx, name, fail); err != nil {
				return err
			}
		}
	}
	return d.ownUnsent(ctx, fail)
}

// follow applies changes of the settings, and of the files named in them, until ctx ends.
func (d *daemon) follow(ctx context.Context, ready func(), reloads <-chan settings, fail context.CancelCauseFunc) {
	files := time.NewTicker(filesEvery)
	defer files.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-files.C:
			d.lookAtFiles()
		case s := <-reloads:
			d.reload(ctx, s, fail)
			ready()
		}
	}
}

const (
	sweepEvery = 10 * time.Minute
	sweepPause = 100 * time.Millisecond // between steps, for other writes
	sweepRows  = 500
)

// sweep deletes rows past their retention every sweepEvery until ctx ends. It also
// rehomes tasks whose account is no longer in the settings of any replica.
func (d *daemon) sweep(ctx context.Context) error {
	for {
		if err := d.watcher.Rehome(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("rehoming tasks failed", zap.Error(err))
		}
		n, err := d.db.Sweep(ctx, time.Now().Add(-d.settings.Load().Store.Retention.Std()), sweepRows)
		wait := sweepEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.log.Error("retention sweep failed", zap.Error(err))
		case n > 0:
			wait = sweepPause
		}
		if !loop.Sleep(ctx, wait) {
			return nil
		}
	}
}

// registerRows is how many tasks of the settings are registered at a time, which bounds the
// memory for many.
const registerRows = 5000

// registerConfigured registers the tasks of the settings.
func (d *daemon) registerConfigured(ctx context.Context) error {
	for chunk := range slices.Chunk(d.settings.Load().Tasks, registerRows) {
		wanted := make([]watcher.Registration, len(chunk))
		for i, t := range chunk {
			wanted[i] = watcher.Registration{Key: watcher.Key{SDKAppID: t.SDKAppID, TaskID: t.TaskID}, Labels: t.Labels}
		}
		if _, err := d.watcher.Register(ctx, wanted, false); err != nil {
			return err
		}
	}
	return nil
}
