package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"go.uber.org/zap"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate migrates the tables to the version of this program.
func (db *DB) migrate(ctx context.Context) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	dialect := goose.DialectSQLite3 // the file's lock keeps other processes out
	options := []goose.ProviderOption{
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(db.labelMigration()),
	}
	if db.postgres {
		// Replicas may start at the same time. The lock is a row with a lease, because an
		// advisory lock needs a session, which a pooler does not keep.
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresTableLocker(
			lock.WithTableName("goose_lock"), lock.WithTableLockTimeout(250*time.Millisecond, 480))
		if err != nil {
			return err
		}
		options = append(options, goose.WithLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, db.writer, folder, options...)
	if err != nil {
		return err
	}
	current, known, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > known {
		return fmt.Errorf("%w: its tables are of version %d, this program knows up to %d", ErrNewer, current, known)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, r := range results {
		db.health.log.Info("tables changed", zap.Int64("version", r.Source.Version), zap.Duration("took", r.Duration))
	}
	return nil
}
