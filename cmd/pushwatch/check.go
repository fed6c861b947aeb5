package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"pushwatch/notify/webhook"
	"pushwatch/watcher"
)

func newCheck() *cobra.Command {
	var file string
	var online bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the settings and print them", Args: cobra.NoArgs,
		Long: `Check reads the settings, prints every fault with its file, line and column, and
prints the settings in force, defaults included and secrets masked.

With --online it also sends one signed request for each account, and opens a
connection to each notifier without sending anything on it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd.Context(), file, online, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&online, "online", false, "ask TIW and reach out to the notifiers too")
	return cmd
}

func check(ctx context.Context, file string, online bool, out, errs io.Writer) error {
	s, doc, err := readSettings(file)
	if doc != nil {
		for _, w := range doc.sorted(true) {
			fmt.Fprintln(errs, doc.print(w))
		}
	}
	if err != nil {
		return err
	}
	text, err := toml.Marshal(s)
	if err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	fmt.Fprintf(out, "# the settings in force\n%s", text)
	if !online {
		fmt.Fprintf(errs, "%s: no faults\n", file)
		return nil
	}
	return s.checkOnline(ctx, errs)
}

// checkOnline tries each account and each notifier, and says how each went.
func (s *settings) checkOnline(ctx context.Context, out io.Writer) error {
	failed := 0
	report := func(what string, err error) {
		if err != nil {
			failed++
			fmt.Fprintf(out, "%s: %v\n", what, err)
			return
		}
		fmt.Fprintf(out, "%s: ok\n", what)
	}
	for _, a := range s.Accounts {
		report("account "+a.Name, a.try(ctx, s.Watch.RequestTimeout.Std()))
	}
	for _, n := range s.Notifiers {
		if n.Type != "webhook" {
			continue
		}
		sender, err := webhook.New(n.webhook())
		if err == nil {
			err = sender.Check(ctx)
		}
		report("notifier "+n.Name, err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(s.Accounts)+len(s.Notifiers))
	}
	return nil
}

// try asks for a task that does not exist: where TIW says so, the credentials,
// the permission and the application are in order.
func (a *accountSettings) try(ctx context.Context, timeout time.Duration) error {
	cloud, err := a.cloud()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = cloud.Describe(ctx, watcher.Key{SDKAppID: a.SDKAppIDs[0], TaskID: "pushwatch-check"})
	if fault, ok := err.(*watcher.CloudError); ok && (fault.Kind == watcher.UnknownTask || fault.Kind == watcher.BadTask) {
		return nil
	}
	return err
}
