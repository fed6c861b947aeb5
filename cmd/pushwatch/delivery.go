package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher/loop"
)

func newDelivery() *cobra.Command {
	return newClient("delivery", "List, show and retry deliveries of a running daemon", deliveryList, deliveryShow, deliveryRetry)
}

const deliveryHeading = "DELIVERY\tNOTIFIER\tSTATE\tMADE\tATTEMPTS\tTYPE\tSUBJECT\tWAITS FOR\tLAST ERROR"

func deliveryRow(d api.Delivery) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s", d.ID, d.Notifier, d.State, ago(&d.CreatedAt), d.Attempts, d.Type, d.Subject, short(d.WaitsFor), short(d.LastError))
}

func deliveryList(c *client) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List deliveries, newest first within an account", Args: cobra.NoArgs,
		Long: `List lists deliveries. ATTEMPTS counts those that count against the delivery; WAITS FOR
is why a pending one is not being sent: its retry, an earlier event of the same push, or
the notifier.`,
		Example: "  pushwatch delivery list --state dead",
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := flagQuery(cmd, "state", "notifier", "event")
			return list(cmd.Context(), c, "/v1/deliveries", "deliveries", query, limit, deliveryHeading, deliveryRow)
		},
	}
	cmd.Flags().String("state", "", "only those in this `STATE`: pending, delivered, dead")
	cmd.Flags().String("notifier", "", "only those to this `NOTIFIER`")
	cmd.Flags().String("event", "", "only those of the event with this `ID`, msg_…")
	limitFlag(cmd, &limit)
	cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"pending", "delivered", "dead"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func deliveryShow(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "show DELIVERY", Short: "Show a delivery and its attempts", Args: cobra.ExactArgs(1),
		Example: "  pushwatch delivery show dlv_1_42",
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, http.MethodGet, "/v1/deliveries/"+url.PathEscape(args[0]), nil, "attempts", printDelivery)
		},
	}
}

// printDelivery prints a delivery, a field a line, and then its attempts.
func printDelivery(w io.Writer, d api.DeliveryDetail) {
	fmt.Fprintf(w, "delivery\t%s\nevent\t%s\ntype\t%s\nsubject\t%s\nnotifier\t%s\nstate\t%s\nmade\t%s\nattempts\t%d that count\nnext attempt\t%s\nwaits for\t%s\nsettled\t%s\n",
		d.ID, d.EventID, d.Type, oneLine(d.Subject), oneLine(d.Notifier), d.State, ago(&d.CreatedAt), d.Attempts, ago(d.NextAttemptAt),
		cmp.Or(oneLine(d.WaitsFor), "-"), ago(d.SettledAt))
	number := d.Attempts // of a counted attempt, from 1 since the last replay
	for _, a := range d.Log {
		if a.Counts {
			number--
		}
	}
	for _, a := range d.Log {
		outcome := "delivered"
		switch {
		case a.Error != "":
			outcome = oneLine(a.Error)
		case a.Status != 0: // a log notifier has no status
			outcome += fmt.Sprintf(", status %d", a.Status)
		}
		attempt := "not counted"
		if a.Counts {
			if number++; number > 0 {
				attempt = fmt.Sprintf("attempt %d", number)
			} else {
				attempt = "before its replay"
			}
		}
		fmt.Fprintf(w, "%s\t%s, %d ms: %s\n", attempt, ago(&a.At), a.DurationMS, outcome)
	}
}

func deliveryRetry(c *client) *cobra.Command {
	var notifier, since, until string
	var wait bool
	cmd := &cobra.Command{
		Use: "retry [DELIVERY]", Short: "Send a delivered or dead delivery again", Args: cobra.MaximumNArgs(1),
		Long: `Retry sends a delivery again, whether it was delivered or is dead, or with --notifier
all dead deliveries of that notifier. The receiver gets the same event, byte for byte,
with the same id. With --wait it waits for the outcome, and fails if a delivery is dead
again.`,
		Example: "  pushwatch delivery retry dlv_1_42 --wait\n  pushwatch delivery retry --notifier classroom --since 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (notifier != "") {
				return usagef("want either a DELIVERY or --notifier: see %s --help", cmd.CommandPath())
			}
			if len(args) == 1 {
				return replay(cmd.Context(), c, "/v1/deliveries/"+url.PathEscape(args[0])+"/retry", nil, args, wait)
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
			var ids []string
			if wait {
				if ids, err = deadLetters(cmd.Context(), c, body); err != nil {
					return err
				}
			}
			return replay(cmd.Context(), c, "/v1/deliveries/retry", body, ids, wait)
		},
	}
	cmd.Flags().StringVar(&notifier, "notifier", "", "all dead deliveries to this `NOTIFIER`")
	cmd.Flags().StringVar(&since, "since", "", "with --notifier: only those made at or after this `TIME`: 24h for 24 hours ago, or 2026-11-22T18:00:00Z")
	cmd.Flags().StringVar(&until, "until", "", "with --notifier: only those made before this `TIME`, in the same forms")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until each is delivered or dead")
	return cmd
}

// deadLetters returns the ids of the deliveries that a replay will queue.
func deadLetters(ctx context.Context, c *client, which api.Replay) (ids []string, err error) {
	query := url.Values{"state": {"dead"}, "notifier": {which.Notifier}}
	for page, err := range c.pages(ctx, "/v1/deliveries", "deliveries", query, 0) {
		if err != nil {
			return nil, err
		}
		for _, item := range page {
			d, err := decodeAnswer[api.Delivery](c, item)
			if err != nil {
				return nil, err
			}
			if !d.CreatedAt.Before(which.Since) && (which.Until.IsZero() || d.CreatedAt.Before(which.Until)) {
				ids = append(ids, d.ID)
			}
		}
	}
	return ids, nil
}

// replay requests a replay and prints how many deliveries were queued again. With wait it
// awaits the outcome of those with the ids.
func replay(ctx context.Context, c *client, path string, body any, ids []string, wait bool) error {
	err := show(ctx, c, http.MethodPost, path, body, "replayed", func(w io.Writer, v api.ReplayResult) {
		fmt.Fprintf(w, "%d queued again\n", v.Replayed)
	})
	if err != nil || !wait {
		return err
	}
	var delivered int
	var dead []api.DeliveryDetail
	for _, id := range ids {
		d, err := awaitOutcome(ctx, c, id)
		if err != nil {
			return err
		}
		if d.State == "dead" {
			dead = append(dead, d)
		} else {
			delivered++
		}
	}
	if c.output == "json" {
		fmt.Fprintf(c.out, "{\n  \"delivered\": %d,\n  \"dead\": %d\n}\n", delivered, len(dead))
	} else {
		fmt.Fprintf(c.out, "%d delivered, %d dead\n", delivered, len(dead))
	}
	if len(dead) > 0 {
		return fmt.Errorf("%s is dead again: %s", dead[0].ID, oneLine(dead[0].LastError))
	}
	return nil
}

// awaitOutcome waits until a delivery is delivered or dead. It prints what the delivery
// waits for on standard error, once per reason.
func awaitOutcome(ctx context.Context, c *client, id string) (d api.DeliveryDetail, err error) {
	const every = 250 * time.Millisecond
	var reason string
	for {
		answer, err := c.ask(ctx, http.MethodGet, "/v1/deliveries/"+url.PathEscape(id), nil, "attempts")
		if err == nil {
			d, err = decodeAnswer[api.DeliveryDetail](c, answer)
		}
		if err != nil || d.State != "pending" {
			return d, err
		}
		if d.WaitsFor != reason && d.WaitsFor != "its turn" {
			reason = d.WaitsFor
			fmt.Fprintf(c.errs, "%s waits for %s\n", d.ID, oneLine(reason))
		}
		if !loop.Sleep(ctx, every) {
			return d, context.Cause(ctx)
		}
	}
}

// before returns the time that is d ago.
func before(d time.Duration) time.Time { return time.Now().Add(-d) }
