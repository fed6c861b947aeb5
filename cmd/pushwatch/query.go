package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"pushwatch/watcher"
)

func newQuery() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "query SDK_APP_ID TASK_ID", Short: "Poll a push once and print the answer", Args: cobra.ExactArgs(2),
		Long: `Query sends one DescribeWhiteboardPush request with the credentials of the
application's account and prints the answer as JSON. A field that the answer lacks is
null; so is one that cannot be read, and then its name is printed on standard error.
Query needs no running daemon, and counts against the account's limit like any other
request.`,
		Example: "  pushwatch query --config config.toml 1400000001 ghucnligqtgtvk2624mb",
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usagef("SDK_APP_ID = %q: want a number, such as 1400000001", args[0])
			}
			return query(cmd.Context(), file, watcher.Key{SDKAppID: app, TaskID: args[1]}, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func query(ctx context.Context, file string, key watcher.Key, out, errs io.Writer) error {
	s, _, err := readSettings(file)
	if err != nil {
		return err
	}
	for _, err := range (watcher.Registration{Key: key}).Validate() {
		return &usageError{err}
	}
	i := slices.IndexFunc(s.Accounts, func(a accountSettings) bool { return slices.Contains(a.SDKAppIDs, key.SDKAppID) })
	if i < 0 {
		return usagef("application %d belongs to no account in %s: add it to the sdk_app_ids of one", key.SDKAppID, file)
	}
	config := s.Accounts[i].client()
	config.CountUnreadable = func(field string) {
		fmt.Fprintf(errs, "%s in the answer cannot be read: shown as null\n", field)
	}
	cloud, err := s.Accounts[i].cloud(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Watch.RequestTimeout.Std())
	defer cancel()
	push, err := cloud.Describe(ctx, key)
	if fault, ok := errors.AsType[*watcher.CloudError](err); ok {
		return fmt.Errorf("describe task %s: %w (%s)", key, fault, fault.Kind)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(push)
}
