// Pushwatch watches Tencent Cloud TIW whiteboard pushes and reliably notifies a classroom
// backend within seconds when one stops or fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or settings, which a restart does not fix
)

// run runs one command and returns its exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if _, ok := errors.AsType[*settingsError](err); ok {
		printLast(errs, err) // each line names the file
		return exitUsage
	}
	printLast(errs, "pushwatch:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// printLast prints why the process ends. It does not wait for a blocked pipe.
func printLast(out io.Writer, text ...any) {
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		fmt.Fprintln(out, text...)
	}()
	select {
	case <-printed:
	case <-time.After(logFlush):
	}
}

// A usageError is an error that a restart does not fix: a person must act.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pushwatch",
		Short: "Watch TIW whiteboard pushes, and notify when they stop or fail",
		Long: `pushwatch watches Tencent Cloud TIW whiteboard push tasks and notifies a classroom
backend, by signed webhooks, when a push starts, has exceptions, stops or fails.

See it work, without an account:   pushwatch demo
Run it:                            pushwatch serve --config /etc/pushwatch/config.toml`,
		SilenceUsage: true, SilenceErrors: true,
	}
	helpOnly(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w%s: see %s --help", err, suggestFlag(cmd, err), cmd.CommandPath())
	})
	root.Version, _ = build()
	root.SetVersionTemplate(versionText() + "\n")
	root.AddCommand(newServe(), newCheck(), newDemo(), newSim(), newListen(), newQuery(),
		newTask(), newEvent(), newDelivery(), newNotifier(), newStatus(), newMigrate(), newBackup(), newVersion(), newMan())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(cmd *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err == nil && len(rest) > 0 {
					err = found.ValidateArgs(rest)
				}
				return err
			}
		case "completion":
			helpOnly(c)
		}
	}
	refuseArguments(root)
	return root
}

// helpOnly makes a command that only groups others print its help, and refuse unknown ones.
func helpOnly(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2 // letters that may differ
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("%q is not a command%s: see %s --help", args[0], didYouMean(cmd.SuggestionsFor(args[0])), cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// groupOnly is helpOnly, except that the group alone is wrong usage.
func groupOnly(cmd *cobra.Command) {
	helpOnly(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return usagef("%s: want one of %s: see %s --help", cmd.Name(), strings.Join(names, ", "), cmd.CommandPath())
	}
}

// didYouMean returns the part of an error that suggests names.
func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", strings.Join(names, " or "))
}

// suggestFlag suggests flags of cmd that are close to an unknown one, as cobra does for
// commands.
func suggestFlag(cmd *cobra.Command, err error) string {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedName()) < 2 {
		return ""
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return didYouMean(flags.SuggestionsFor("--" + unknown.GetSpecifiedName()))
}

// refuseArguments turns argument errors of all commands below cmd into usage errors.
func refuseArguments(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if args := c.Args; args != nil {
			c.Args = func(cmd *cobra.Command, given []string) error {
				err := args(cmd, given)
				if _, ok := errors.AsType[*usageError](err); err == nil || ok {
					return err
				}
				return usagef("%w: see %s --help", err, cmd.CommandPath())
			}
		}
		refuseArguments(c)
	}
}

// configFlag adds --config, for commands that read settings.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "/etc/pushwatch/config.toml", "the settings `FILE`")
	cmd.MarkFlagFilename("config", "toml")
}
