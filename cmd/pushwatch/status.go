package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// statusView is the status as the API shows it.
type statusView struct {
	Instance string `json:"instance"`
	Version  string `json:"version"`
	Accounts []struct {
		Name  string `json:"name"`
		Blind bool   `json:"blind"`
		Dark  []struct {
			SDKAppID *int64     `json:"sdk_app_id"`
			Since    *time.Time `json:"since"`
			Tasks    int        `json:"tasks"`
			Error    *struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"dark"`
		Limit   float64 `json:"requests_per_second_limit"`
		Granted float64 `json:"requests_per_second_granted"`
		Used    float64 `json:"requests_per_second_used"`
		Tasks   struct {
			Registered, Preparing, Pushing int
		} `json:"tasks"`
		StalenessSeconds  float64    `json:"staleness_seconds"`
		LapSeconds        float64    `json:"lap_seconds"`
		StoreFailingSince *time.Time `json:"store_failing_since"`
	} `json:"accounts"`
	Members []struct {
		Name       string     `json:"name"`
		Live       bool       `json:"live"`
		Self       bool       `json:"self"`
		Since      *time.Time `json:"since"`
		LastBeatAt *time.Time `json:"last_beat_at"`
		Accounts   []string   `json:"accounts"`
	} `json:"members"`
	Notifiers []notifierView `json:"notifiers"`
}

func newStatus() *cobra.Command {
	c, ready := &client{}, false
	cmd := &cobra.Command{
		Use: "status", Short: "Tell how a running daemon does", Args: cobra.NoArgs,
		Long: `Status tells in one screen whether each account can be observed, how much of its
limit is used, what is watched and how old the oldest observation is, and what
waits for each notifier or was given up. Where several daemons share a PostgreSQL
database, any of them tells of all, and of who owns which accounts.

With --ready it says nothing, needs no token, and fails where the daemon is not
ready to serve: for the health checks of containers, whose image has no shell.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ready {
				status, answer, err := c.call(cmd.Context(), http.MethodGet, "/readyz", nil)
				if err == nil && strings.TrimSpace(string(answer)) != "ok" {
					err = c.foreign(status)
				}
				return err
			}
			answer, err := c.ask(cmd.Context(), http.MethodGet, "/v1/status", nil, "version")
			if err != nil {
				return err
			}
			return c.print(answer, func(w io.Writer) error {
				var s statusView
				if err := json.Unmarshal(answer, &s); err != nil {
					return err
				}
				return s.table(w)
			})
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "only fail where it is not ready")
	c.flags(cmd)
	return cmd
}

func (s statusView) table(w io.Writer) error {
	fmt.Fprintf(w, "%s, pushwatch %s\n\n", oneLine(s.Instance), oneLine(s.Version))
	fmt.Fprintln(w, "ACCOUNT\tSIGHT\tREQUESTS/S\tREGISTERED\tPREPARING\tPUSHING\tOLDEST LOOK\tEVERY")
	var notes strings.Builder
	for _, a := range s.Accounts {
		sight := "sees"
		switch {
		case a.Blind:
			sight = "BLIND"
		case len(a.Dark) > 0:
			sight = "failing"
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f of %g\t%d\t%d\t%d\t%.1fs ago\t%.1fs\n", oneLine(a.Name), sight, a.Used, a.Granted,
			a.Tasks.Registered, a.Tasks.Preparing, a.Tasks.Pushing, a.StalenessSeconds, a.LapSeconds)
		if a.Granted < a.Limit {
			fmt.Fprintf(&notes, "! %s: others use its quota too: %.1f of %g requests a second are granted\n", oneLine(a.Name), a.Granted, a.Limit)
		}
		if a.StoreFailingSince != nil {
			fmt.Fprintf(&notes, "! %s: the database has taken no writes since %s\n", oneLine(a.Name), ago(a.StoreFailingSince))
		}
		for i, d := range a.Dark {
			if i > 0 && a.Dark[0].SDKAppID == nil {
				break // the account as a whole comes first, and its applications are in it
			}
			what, why := a.Name, "no answer"
			if d.SDKAppID != nil {
				what = fmt.Sprintf("%s, application %d", a.Name, *d.SDKAppID)
			}
			if d.Error != nil {
				why = d.Error.Code + ": " + d.Error.Message
			}
			fmt.Fprintf(&notes, "! %s: nothing was seen of %d tasks, first %s: %s\n", oneLine(what), d.Tasks, ago(d.Since), oneLine(why))
		}
	}
	if len(s.Members) > 0 {
		fmt.Fprintln(w, "\nMEMBER\tSTATE\tJOINED\tLAST HEARD OF\tACCOUNTS")
		for _, m := range s.Members {
			state := "lives"
			switch {
			case m.Self:
				state = "this one"
			case !m.Live:
				state = "DEAD"
				if len(m.Accounts) > 0 {
					fmt.Fprintf(&notes, "! %s: nobody watches them: the replica that had them was last heard of %s\n", oneLine(few(m.Accounts)), ago(m.LastBeatAt))
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", oneLine(m.Name), state, ago(m.Since), ago(m.LastBeatAt), oneLine(few(m.Accounts)))
		}
	}
	fmt.Fprintf(w, "\n%s\n", notifierHeading)
	for _, n := range s.Notifiers {
		fmt.Fprintln(w, oneLine(n.row()))
	}
	if notes.Len() > 0 {
		fmt.Fprintf(w, "\n%s", notes.String())
	}
	return nil
}

// few is a list with its count, of which no more is shown than fits on a line.
func few(names []string) string {
	const most = 4
	shown := strings.Join(names[:min(most, len(names))], ", ")
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		shown += ", …"
	}
	return fmt.Sprintf("%d: %s", len(names), shown)
}
