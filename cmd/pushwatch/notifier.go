package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
)

const notifierHeading = "NOTIFIER\tTYPE\tSTATE\tPENDING\tOLDEST\tDEAD\tWHERE\tLAST ERROR"

func notifierRow(n api.Notifier) string {
	state := n.State
	switch {
	case n.PausedUntil != nil:
		state += ", resumes " + ago(n.PausedUntil)
	case n.NextProbeAt != nil && n.NextProbeAt.After(time.Now()):
		state += ", probe " + ago(n.NextProbeAt)
	case n.NextProbeAt != nil:
		state += ", probing"
	}
	oldest := "-"
	if n.Pending > 0 {
		oldest = age(time.Duration(n.Waiting * float64(time.Second)))
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s", n.Name, n.Type, state, n.Pending, oldest, n.Dead, short(n.URL), short(n.LastError))
}

func newNotifier() *cobra.Command {
	return newClient("notifier", "List, test, pause and resume the notifiers of a running daemon", notifierList, notifierTest,
		func(c *client) *cobra.Command {
			return notifierSwitch(c, "pause", "Hold back deliveries to a notifier until it is resumed")
		},
		func(c *client) *cobra.Command {
			return notifierSwitch(c, "resume", "Deliver to a paused or gone notifier again")
		},
	)
}

func notifierList(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the configured notifiers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.Context(), c, "/v1/notifiers", "notifiers", nil, 0, notifierHeading, notifierRow)
		},
	}
}

func notifierTest(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "test NOTIFIER", Short: "Send a webhook.test event to a notifier", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/notifiers/" + url.PathEscape(args[0]) + "/test"
			return show(cmd.Context(), c, http.MethodPost, path, nil, "event_id", func(w io.Writer, v api.TestResult) {
				fmt.Fprintf(w, "%s is on its way: see pushwatch delivery list --event %[1]s\n", oneLine(v.EventID))
			})
		},
	}
}

// notifierSwitch returns the command that pauses or resumes a notifier.
func notifierSwitch(c *client, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " NOTIFIER", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd.Context(), http.MethodPost, "/v1/notifiers/"+url.PathEscape(args[0])+"/"+name)
		},
	}
}
