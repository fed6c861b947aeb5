package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/watcher/engine"
	"pushwatch/watcher/loop"
)

// The first and the longest time between two tries to reach the database.
const (
	firstStoreTry = 500 * time.Millisecond
	lastStoreTry  = 15 * time.Second
)

// How long the daemon waits for the lock of a SQLite file, and between two tries. A process
// that was killed holds the lock until the kernel has ended its last system call.
const (
	lockPatience = 5 * time.Second
	lockTry      = 50 * time.Millisecond
)

// openStore opens the database. It waits for an unreachable one until ctx ends, and for a
// locked one for lockPatience; an error that a restart does not fix is a [usageError].
func openStore(ctx context.Context, s storeSettings, log *zap.Logger) (*sqlstore.DB, error) {
	url, err := s.URL.Value()
	if err != nil {
		return nil, err
	}
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstStoreTry), backoff.WithMaxInterval(lastStoreTry), backoff.WithMaxElapsedTime(0))
	var locked loop.Condition
	for {
		db, err := sqlstore.Open(ctx, sqlstore.Config{URL: url, TTL: s.TakeoverAfter.Std(), Log: log})
		if err == nil {
			return db, nil
		}
		if errors.Is(err, sqlstore.ErrLocked) {
			now := time.Now()
			if locked.Begin(now) {
				log.Warn("database locked", zap.Duration("wait_at_most", lockPatience), zap.Error(err))
			}
			if now.Sub(locked.Since()) < lockPatience && loop.Sleep(ctx, lockTry) {
				continue
			}
		}
		if !errors.Is(err, sqlstore.ErrAway) || ctx.Err() != nil {
			return nil, storeError(err)
		}
		wait := waits.NextBackOff()
		log.Warn("database unreachable", zap.Duration("next_try_in", wait.Round(time.Millisecond)), zap.Error(err))
		// Otherwise systemd considers the start to hang.
		systemd.SdNotify(false, "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=waiting for the database")
		if !loop.Sleep(ctx, wait) {
			return nil, err
		}
	}
}

// storeFaults are the errors of a database that a restart does not fix.
var storeFaults = []error{
	sqlstore.ErrNewer, sqlstore.ErrFolder, sqlstore.ErrRefused, sqlstore.ErrUnfinished, sqlstore.ErrDamaged,
	sqlstore.ErrNotEmpty, sqlstore.ErrNotSQLite, sqlstore.ErrExists,
}

// storeError returns an error of a database, as a [usageError] if a restart does not fix it.
func storeError(err error) error {
	err = sqlstore.Damage(err)
	if slices.ContainsFunc(storeFaults, func(fault error) bool { return errors.Is(err, fault) }) {
		return &usageError{err}
	}
	return err
}

// databaseMetrics returns the series of pushwatch_database_failing without an account: a
// replica that owns none has a database too. It is in a registry of its own, because in that
// of the watcher the metric has the label.
func databaseMetrics(db *sqlstore.DB) prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pushwatch_database_failing", Help: engine.DatabaseFailingHelp}, func() float64 {
		if db.Health() != nil {
			return 1
		}
		return 0
	}))
	return registry
}
