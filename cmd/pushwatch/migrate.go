package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"pushwatch/watcher/setting"
)

func newMigrate() *cobra.Command {
	var file, to, toFile string
	cmd := &cobra.Command{
		Use: "migrate", Short: "Copy the whole store to another database", Args: cobra.NoArgs,
		Long: `Migrate copies everything in the database of the settings, store.url, to another
one, which must be empty, from SQLite to PostgreSQL or back. Then it reads both
again and compares every row. Stop the daemon first.

After an interruption of any kind the same command goes on where it was.
Until then no daemon starts on the part that is there. The database that is copied
keeps everything: it is what to return to.

Others on this machine see the arguments of a command. A URL with a password is better
kept in a file, for --to-file, or in the environment variable PUSHWATCH_MIGRATE_TO;
PGPASSWORD and ~/.pgpass are read too.`,
		Example: `  pushwatch migrate --config /etc/pushwatch/config.toml --to postgres://pushwatch@db.example/pushwatch
  pushwatch migrate --config /etc/pushwatch/config.toml --to-file /root/new-store-url`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			target, err := migrationTarget(to, toFile)
			if err != nil {
				return err
			}
			return migrate(cmd.Context(), file, target, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&to, "to", "", "the `URL` of the database to copy to, as in store.url")
	cmd.Flags().StringVar(&toFile, "to-file", "", "the `FILE` with that URL")
	cmd.MarkFlagFilename("to-file")
	return cmd
}

// migrationTarget is the database to copy to, by the flags or the environment. The path
// of a SQLite file starts at the working directory.
func migrationTarget(to, toFile string) (storeURL, error) {
	here, err := os.Getwd()
	if err != nil {
		return storeURL{}, err
	}
	target := storeURL{Secret: setting.Plain(to), folder: here}
	switch env := setting.Env("PUSHWATCH_MIGRATE_TO"); {
	case to != "" && toFile != "":
		return storeURL{}, usagef("--to and --to-file: want one of them")
	case toFile != "":
		target.Secret = setting.File(toFile)
	case to == "":
		if _, err := env.Value(); err != nil {
			return storeURL{}, usagef("want a target, by --to, --to-file or PUSHWATCH_MIGRATE_TO")
		}
		target.Secret = env
	}
	text, err := target.Value()
	if err != nil {
		return storeURL{}, &usageError{err}
	}
	if !storePattern.MatchString(text) {
		return storeURL{}, usagef(`the target: want "sqlite:/path/file.db" or "postgres://user@host/database"`)
	}
	return target, nil
}

func migrate(ctx context.Context, file string, target storeURL, out, errs io.Writer) error {
	from, err := readStoreURL(file)
	if err != nil {
		return err
	}
	to, err := target.Value()
	switch {
	case err != nil:
		return err
	case to == from:
		return usagef("the target is the database of the settings itself: want another")
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
	err = sqlstore.Damage(err)
	for _, fault := range []error{sqlstore.ErrNotEmpty, sqlstore.ErrNewer, sqlstore.ErrFolder, sqlstore.ErrRefused, sqlstore.ErrDamaged} {
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
	fmt.Fprintf(out, `All of them are the same on both sides. Now name the new database in %s,
and start pushwatch:

[store]
url = %s
`, file, target.inSettings())
	return nil
}

// inSettings is the URL as the settings can have it: a secret by the place that it was read
// from, else without its password.
func (u storeURL) inSettings() string {
	if file, ok := strings.CutPrefix(u.Where(), "file "); ok {
		return fmt.Sprintf("{ file = %q }", file)
	}
	if !u.IsPlain() {
		return fmt.Sprintf("%q", setting.Mask)
	}
	shown, _ := u.MarshalText() // of a plain one there is no error
	return fmt.Sprintf("%q", shown)
}

// A progressLine shows how far something long has come: on a terminal in one line that
// is written again and again, and else in a line every ten seconds.
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
