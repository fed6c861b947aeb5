package main

import (
	"context"
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
		Long: `Backup copies the SQLite database in store.url to the new file DEST, also while the
daemon runs. The copy is a consistent snapshot, is checked for damage, and can be read
by its owner only.

To restore it, stop the daemon and replace the database by the copy. For PostgreSQL
use its own tools, such as pg_dump.`,
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
	if err != nil {
		return storeError(err)
	}
	fmt.Fprintf(out, "%s: %.1f MB, checked, in %s\n", dest, float64(size)/1e6, time.Since(start).Round(time.Millisecond))
	return nil
}
