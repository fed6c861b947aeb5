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

func newDelivery() *cobra.Command {
	return newClient("delivery", "List, look at and retry deliveries in a running daemon", deliveryList, deliveryShow, deliveryRetry)
}

func deliveryList(c *client) *cobra.Command {
	var state, notifier, event string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List deliveries, the newest first", Args: cobra.NoArgs,
		Example: "  pushwatch delivery list --state dead",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"state": state, "notifier": notifier, "event": event} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return list(cmd.Context(), c, "/v1/deliveries", "deliveries", query, limit, "DELIVERY\tNOTIFIER\tSTATE\tMADE\tATTEMPTS\tTYPE\tSUBJECT\tLAST ERROR", func(d api.Delivery) string {
				return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s", d.ID, d.Notifier, d.State, ago(&d.CreatedAt), d.Attempts, d.Type, d.Subject, short(d.LastError))
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only those in this `STATE`: pending, delivered, dead")
	cmd.Flags().StringVar(&notifier, "notifier", "", "only those to this `NOTIFIER`")
	cmd.Flags().StringVar(&event, "event", "", "only those of this event, a msg_… `ID`")
	limitFlag(cmd, &limit)
	cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"pending", "delivered", "dead"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func deliveryShow(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "show DELIVERY", Short: "Show one delivery with its attempts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := c.ask(cmd.Context(), http.MethodGet, "/v1/deliveries/"+url.PathEscape(args[0]), nil, "attempts")
			if err != nil {
				return err
			}
			return printAnswer(c, answer, printDelivery)
		},
	}
}

// printDelivery prints a delivery, a field a line, and then its attempts.
func printDelivery(w io.Writer, d api.DeliveryDetail) error {
	fmt.Fprintf(w, "delivery\t%s\nevent\t%s\ntype\t%s\nsubject\t%s\nnotifier\t%s\nstate\t%s\nmade\t%s\nnext attempt\t%s\nsettled\t%s\n",
		d.ID, d.EventID, d.Type, oneLine(d.Subject), oneLine(d.Notifier), d.State, ago(&d.CreatedAt), ago(d.NextAttemptAt), ago(d.SettledAt))
	replayed := len(d.Log) - d.Attempts // the attempts before it was last replayed
	for i, a := range d.Log {
		outcome := "delivered"
		switch {
		case a.Error != "":
			outcome = oneLine(a.Error)
		case a.Status != 0: // a log notifier answers with none
			outcome += fmt.Sprintf(", status %d", a.Status)
		}
		attempt := "before its replay"
		if i >= replayed {
			attempt = fmt.Sprintf("attempt %d", i+1-replayed)
		}
		fmt.Fprintf(w, "%s\t%s, %d ms: %s\n", attempt, ago(&a.At), a.DurationMS, outcome)
	}
	return nil
}

func deliveryRetry(c *client) *cobra.Command {
	var notifier, since, until string
	cmd := &cobra.Command{
		Use: "retry [DELIVERY]", Short: "Deliver again what was delivered or given up", Args: cobra.MaximumNArgs(1),
		Long: `Retry delivers again: one delivery, or with --notifier all that was given up for
a notifier. It is the same event, byte for byte, under the same id.`,
		Example: "  pushwatch delivery retry dlv_1_42\n  pushwatch delivery retry --notifier classroom --since 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (notifier != "") {
				return usagef("want either a DELIVERY or --notifier: see %s --help", cmd.CommandPath())
			}
			if len(args) == 1 {
				return c.do(cmd.Context(), http.MethodPost, "/v1/deliveries/"+url.PathEscape(args[0])+"/retry")
			}
			from, err := timeFlag("since", since, before)
			if err != nil {
				return err
			}
			to, err := timeFlag("until", until, before)
			if err != nil {
				return err
			}
			body := api.Replay{Notifier: notifier, Since: orZero(from), Until: orZero(to)}
			answer, err := c.ask(cmd.Context(), http.MethodPost, "/v1/deliveries/retry", body, "replayed")
			if err != nil {
				return err
			}
			return printAnswer(c, answer, func(w io.Writer, v api.ReplayResult) error {
				_, err := fmt.Fprintf(w, "%d are delivered again\n", v.Replayed)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&notifier, "notifier", "", "all that was given up for this `NOTIFIER`")
	cmd.Flags().StringVar(&since, "since", "", "with --notifier: only what was made since a `TIME` ago, such as 24h, or 2026-11-22T18:00:00Z")
	cmd.Flags().StringVar(&until, "until", "", "with --notifier: only what was made before a `TIME` ago, or a time")
	return cmd
}

// before is the time that was so long ago.
func before(d time.Duration) time.Time { return time.Now().Add(-d) }
