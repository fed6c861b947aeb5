package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/watcher/setting"
)

func newMigrate() *cobra.Command {
	var file, to string
	cmd := &cobra.Command{
		Use: "migrate", Short: "Copy the whole store to another database", Args: cobra.NoArgs,
		Long: `Migrate copies everything in the database of the settings, store.url, to another
one, which must be empty, from SQLite to PostgreSQL or back. Then it reads both
again and compares every row. Stop the daemon first.

Where it is interrupted, in whatever way, the same command goes on where it was.
Until then no daemon starts on the part that is there. The database that is copied
keeps everything: it is what to return to.

A password is better not given in the URL, where others on this machine can see
it: PGPASSWORD and ~/.pgpass are read too.`,
		Example: "  pushwatch migrate --config /etc/pushwatch/config.toml --to postgres://pushwatch@db.example/pushwatch",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return migrate(cmd.Context(), file, to, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&to, "to", "", "the `URL` of the database to copy to, as in store.url")
	return cmd
}

func migrate(ctx context.Context, file, to string, out, errs io.Writer) error {
	from, err := readStoreURL(file)
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	target := storeURL{Secret: setting.Plain(to), folder: here}
	shown, err := target.MarshalText()
	if err != nil {
		return err
	}
	if !storePattern.MatchString(to) {
		return usagef(`--to = %q: want "sqlite:/path/file.db" or "postgres://user@host/database"`, shown)
	}
	to, err = target.Value()
	switch {
	case err != nil:
		return err
	case to == from:
		return usagef("--to is the database of the settings itself: want another")
	}
	p := newProgressLine(errs)
	copied, err := sqlstore.Copy(ctx, sqlstore.Config{URL: from}, sqlstore.Config{URL: to}, func(now sqlstore.Progress) {
		verb := "copying"
		if now.Comparing {
			verb = "comparing"
		}
		p.show("%-9s  %-12s %11d of %d rows", verb, now.Table, now.Rows, now.Total)
	})
	p.end()
	for _, fault := range []error{sqlstore.ErrNotEmpty, sqlstore.ErrNewer, sqlstore.ErrFolder, sqlstore.ErrRefused} {
		if errors.Is(err, fault) {
			return &usageError{err}
		}
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range copied {
		fmt.Fprintf(w, "%d\t  rows of %s\n", t.Rows, t.Name)
	}
	w.Flush()
	fmt.Fprintf(out, `All of them are the same on both sides. Now have %s name the new database,
and start pushwatch:

[store]
url = %q
`, file, shown)
	return nil
}

// A progressLine tells how far something long has come: on a terminal in one line
// that is written anew, and else in a line now and then.
type progressLine struct {
	out   io.Writer
	every time.Duration
	again string // begins a line
	stop  string // ends it
	last  time.Time
}

func newProgressLine(out io.Writer) *progressLine {
	if isTerminal(out) {
		return &progressLine{out: out, every: 100 * time.Millisecond, again: "\r\x1b[K"}
	}
	return &progressLine{out: out, every: 10 * time.Second, stop: "\n", last: time.Now()}
}

// show writes the line, unless the last was written just now.
func (p *progressLine) show(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last = now
		fmt.Fprintf(p.out, p.again+format+p.stop, args...)
	}
}

// end takes the line away from a terminal.
func (p *progressLine) end() { fmt.Fprint(p.out, p.again) }
