package main

import (
	"context"
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
		Long: `Migrate copies everything from the database in store.url to another, empty one: from
SQLite to PostgreSQL or back. Then it reads both and compares every row. Stop the daemon
first.

After any interruption, run the same command again to continue. Until it is done, no
daemon starts on the incomplete copy. The source database keeps everything, so you can
return to it.

Other users of this machine can see command lines. Keep a URL with a password in a file
for --to-file, or in the environment variable PUSHWATCH_MIGRATE_TO; PGPASSWORD and
~/.pgpass work too.`,
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

// migrationTarget returns the database to copy to, from the flags or the environment. A
// relative SQLite path starts at the working directory.
func migrationTarget(to, toFile string) (storeURL, error) {
	here, err := os.Getwd()
	if err != nil {
		return storeURL{}, err
	}
	target := storeURL{Secret: setting.Plain(to), folder: here}
	switch env := setting.Env("PUSHWATCH_MIGRATE_TO"); {
	case to != "" && toFile != "":
		return storeURL{}, usagef("--to and --to-file: want only one of them")
	case toFile != "":
		target.Secret = setting.File(toFile)
	case to == "":
		if _, err := env.Value(); err != nil {
			return storeURL{}, usagef("want a target: --to, --to-file or PUSHWATCH_MIGRATE_TO")
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
		return usagef("the target is the database in store.url itself: want another")
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
	if err != nil {
		return storeError(err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range copied {
		fmt.Fprintf(w, "%d\t  rows of %s\n", t.Rows, t.Name)
	}
	w.Flush()
	fmt.Fprintf(out, `All rows are the same in both databases. Now set the new database in %s
and start pushwatch:

[store]
url = %s
`, file, target.inSettings())
	return nil
}

// inSettings returns the URL in TOML: a secret by its file, otherwise without its password.
func (u storeURL) inSettings() string {
	if file, ok := strings.CutPrefix(u.Where(), "file "); ok {
		return fmt.Sprintf("{ file = %q }", file)
	}
	if !u.IsPlain() {
		return fmt.Sprintf("%q", setting.Mask)
	}
	shown, _ := u.MarshalText() // a plain one has no error
	return fmt.Sprintf("%q", shown)
}

// A progressLine shows the progress of a long operation: on a terminal in one line that is
// rewritten, otherwise in a new line every ten seconds.
type progressLine struct {
	out   io.Writer
	every time.Duration
	again string // begins a line
	stop  string // ends a line
	last  time.Time
}

func newProgressLine(out io.Writer) *progressLine {
	if isTerminal(out) {
		return &progressLine{out: out, every: 100 * time.Millisecond, again: "\r\x1b[K"}
	}
	return &progressLine{out: out, every: 10 * time.Second, stop: "\n", last: time.Now()}
}

// show writes the line, unless the last one is too recent.
func (p *progressLine) show(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) >= p.every {
		p.last = now
		fmt.Fprintf(p.out, p.again+format+p.stop, args...)
	}
}

// end removes the line from a terminal.
func (p *progressLine) end() { fmt.Fprint(p.out, p.again) }
