package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
)

func newBackup() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "backup DEST", Short: "Copy the SQLite database while the daemon runs", Args: cobra.ExactArgs(1),
		Long: `Backup writes a copy of the SQLite database of the settings, store.url, to the
file DEST, which must not exist. The daemon may be running, and goes on: the copy
is the database as it was at one moment, checked, and readable by its owner alone.

To go back to it, stop the daemon and put the copy in the place of the database.
A PostgreSQL database has tools of its own, such as pg_dump.`,
		Example: "  pushwatch backup --config /etc/pushwatch/config.toml /var/backups/pushwatch-$(date +%F).db",
		RunE: func(cmd *cobra.Command, args []string) error {
			return backup(cmd.Context(), file, args[0], cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func backup(ctx context.Context, file, dest string, out io.Writer) error {
	url, err := readStoreURL(file)
	if err != nil {
		return err
	}
	start := time.Now()
	size, err := sqlstore.Backup(ctx, url, dest)
	err = sqlstore.Damage(err)
	for _, fault := range []error{sqlstore.ErrNotSQLite, sqlstore.ErrExists, sqlstore.ErrFolder, sqlstore.ErrDamaged} {
		if errors.Is(err, fault) {
			return &usageError{err}
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %.1f MB, checked, in %s\n", dest, float64(size)/1e6, time.Since(start).Round(time.Millisecond))
	return nil
}
