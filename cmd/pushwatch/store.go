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

// openStore opens the database. It waits for an unreachable one until ctx ends; an error
// that a restart does not fix is a [usageError].
func openStore(ctx context.Context, s storeSettings, log *zap.Logger) (*sqlstore.DB, error) {
	url, err := s.URL.Value()
	if err != nil {
		return nil, err
	}
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstStoreTry), backoff.WithMaxInterval(lastStoreTry), backoff.WithMaxElapsedTime(0))
	for {
		db, err := sqlstore.Open(ctx, sqlstore.Config{URL: url, TTL: s.TakeoverAfter.Std(), Log: log})
		if err == nil {
			return db, nil
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

// A databaseCollector adds a series without an account to pushwatch_database_failing, of
// which the watcher has one per account: a replica that owns none has a database too.
type databaseCollector struct{ db *sqlstore.DB }

var databaseFailingDesc = prometheus.NewDesc("pushwatch_database_failing", engine.DatabaseFailingHelp, nil, nil)

// Describe implements [prometheus.Collector]. It describes nothing, because the watcher
// describes the name, with other labels.
func (c databaseCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c databaseCollector) Collect(metrics chan<- prometheus.Metric) {
	failing := 0.0
	if c.db.Health() != nil {
		failing = 1
	}
	metrics <- prometheus.MustNewConstMetric(databaseFailingDesc, prometheus.GaugeValue, failing)
}
