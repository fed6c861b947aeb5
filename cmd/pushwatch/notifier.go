package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// notifierView is a notifier as the API shows it.
type notifierView struct {
	Name        string     `json:"name"`
	Type        string     `json:"type"`
	URL         string     `json:"url"`
	State       string     `json:"state"`
	PausedUntil *time.Time `json:"paused_until"`
	Pending     int        `json:"pending"`
	Waiting     float64    `json:"oldest_pending_seconds"`
	Dead        int        `json:"dead"`
	LastError   string     `json:"last_error"`
}

const notifierHeading = "NOTIFIER\tTYPE\tSTATE\tPENDING\tOLDEST\tDEAD\tWHERE\tLAST ERROR"

func (n notifierView) row() string {
	state := n.State
	if n.PausedUntil != nil {
		state += ", on " + ago(n.PausedUntil)
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
			return notifierSwitch(c, "pause", "Have deliveries wait until the notifier is resumed")
		},
		func(c *client) *cobra.Command {
			return notifierSwitch(c, "resume", "Tell a notifier again that is paused or gone")
		},
	)
}

func notifierList(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the notifiers of the settings", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.Context(), c, "/v1/notifiers", "notifiers", nil, 0, notifierHeading, notifierView.row)
		},
	}
}

func notifierTest(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "test NOTIFIER", Short: "Send a webhook.test event to a notifier", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := c.ask(cmd.Context(), http.MethodPost, "/v1/notifiers/"+url.PathEscape(args[0])+"/test", nil, "event_id")
			if err != nil {
				return err
			}
			return c.print(answer, func(w io.Writer) error {
				var v struct {
					EventID string `json:"event_id"`
				}
				if err := json.Unmarshal(answer, &v); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "%s is on its way: see pushwatch delivery list --event %[1]s\n", oneLine(v.EventID))
				return err
			})
		},
	}
}

// notifierSwitch is a command that does to a notifier what its name says.
func notifierSwitch(c *client, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " NOTIFIER", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd.Context(), http.MethodPost, "/v1/notifiers/"+url.PathEscape(args[0])+"/"+name)
		},
	}
}
