// Pushwatch watches Tencent Cloud TIW whiteboard pushes and tells a classroom
// backend, surely and at once, when one stops or fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	// Some chat services use this client, which has no limit by itself.
	http.DefaultClient.Timeout = time.Minute
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or settings: a restart will not mend it
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
		fmt.Fprintln(errs, err) // names the file in each line
		return exitUsage
	}
	fmt.Fprintln(errs, "pushwatch:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// A usageError is one that a restart will not mend: somebody has to do something.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pushwatch",
		Short: "Watch TIW whiteboard pushes, and tell when they stop or fail",
		Long: `pushwatch watches Tencent Cloud TIW whiteboard push tasks and tells a classroom
backend, by signed webhooks, when a push starts, suffers exceptions, stops or fails.

See it work, without an account:   pushwatch demo
Run it:                            pushwatch serve --config /etc/pushwatch/config.toml`,
		SilenceUsage: true, SilenceErrors: true,
	}
	onlyGroups(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: see %s --help", err, cmd.CommandPath())
	})
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
			onlyGroups(c)
		}
	}
	refuseArguments(root)
	return root
}

// onlyGroups makes cmd, which does nothing but group others, tell of them, and refuse what
// is none of them.
func onlyGroups(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("%q is not a command: see %s --help", args[0], cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// refuseArguments makes wrong arguments of the commands below cmd wrong usage.
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

// configFlag adds the flag that every command with settings has.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "/etc/pushwatch/config.toml", "the settings `FILE`")
	cmd.MarkFlagFilename("config", "toml")
}
