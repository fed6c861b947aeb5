package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
)

func newStatus() *cobra.Command {
	c, ready := &client{}, false
	cmd := &cobra.Command{
		Use: "status", Short: "Show the status of a running daemon", Args: cobra.NoArgs,
		Long: `Status shows for each account whether it is visible, how much of its limit is used,
how many tasks it has and how old the oldest observation is; and for each notifier how
many deliveries are pending or dead. If several daemons share a PostgreSQL database,
each shows the accounts of all, and which daemon owns which.

With --ready it prints nothing and needs no token. It fails if the daemon is not ready:
a health check for containers whose image has no shell.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ready {
				status, answer, err := c.call(cmd.Context(), http.MethodGet, "/readyz", nil)
				if err == nil && strings.TrimSpace(string(answer)) != "ok" {
					err = c.unexpected(status)
				}
				return err
			}
			return show(cmd.Context(), c, http.MethodGet, "/v1/status", nil, "version", printStatus)
		},
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "print nothing; fail if the daemon is not ready")
	c.flags(cmd)
	return cmd
}

// printStatus prints tables of accounts, members and notifiers, and below them notes about
// what needs attention.
func printStatus(w io.Writer, s api.Status) {
	var notes strings.Builder
	fmt.Fprintf(w, "%s, pushwatch %s\n\n", oneLine(s.Instance), oneLine(s.Version))
	fmt.Fprintln(w, "ACCOUNT\tSTATE\tREQUESTS/S\tREGISTERED\tPREPARING\tPUSHING\tSTALENESS\tLAP")
	for _, a := range s.Accounts {
		printAccount(w, &notes, a)
	}
	if len(s.Members) > 0 {
		fmt.Fprintln(w, "\nMEMBER\tSTATE\tJOINED\tLAST HEARD OF\tACCOUNTS")
		for _, m := range s.Members {
			printMember(w, &notes, m)
		}
	}
	fmt.Fprintf(w, "\n%s\n", notifierHeading)
	for _, n := range s.Notifiers {
		fmt.Fprintln(w, oneLine(notifierRow(n)))
	}
	if notes.Len() > 0 {
		fmt.Fprintf(w, "\n%s", notes.String())
	}
}

// visibility says how much of an account can be observed, in the page's words.
func visibility(a api.AccountStatus) string {
	for _, o := range a.Outages {
		if o.Announced && o.SDKAppID == nil {
			return "BLIND"
		}
	}
	switch {
	case a.Blind || a.BlindPushes > 0:
		return "PARTLY BLIND"
	case len(a.Outages) > 0:
		return "polls fail"
	default:
		return "visible"
	}
}

func printAccount(w, notes io.Writer, a api.AccountStatus) {
	state := visibility(a)
	fmt.Fprintf(w, "%s\t%s\t%.1f of %g\t%d\t%d\t%d\t%.1fs\t%.1fs\n", oneLine(a.Name), state, a.Used, a.Granted,
		a.Tasks.Registered, a.Tasks.Preparing, a.Tasks.Pushing, a.StalenessSeconds, a.LapSeconds)
	if a.Granted < a.Limit {
		fmt.Fprintf(notes, "! %s: others use its quota too: %.1f of %g requests a second are granted\n", oneLine(a.Name), a.Granted, a.Limit)
	}
	if a.Unobserved > 0 {
		fmt.Fprintf(notes, "! %s: tasks not observed yet: %d\n", oneLine(a.Name), a.Unobserved)
	}
	if a.BlindPushes > 0 {
		fmt.Fprintf(notes, "! %s: tasks that are blind by themselves: %d; pushwatch task show says why\n", oneLine(a.Name), a.BlindPushes)
	}
	if a.StoreFailingSince != nil {
		fmt.Fprintf(notes, "! %s: the database has taken no writes since %s\n", oneLine(a.Name), ago(a.StoreFailingSince))
	}
	for i, o := range a.Outages {
		if i > 0 && a.Outages[0].SDKAppID == nil {
			break // the outage of the whole account comes first, and includes its applications
		}
		what, why := a.Name, "no answer"
		if o.SDKAppID != nil {
			what = fmt.Sprintf("%s, application %d", a.Name, *o.SDKAppID)
		}
		if o.Error != nil {
			why = o.Error.Code + ": " + o.Error.Message
		}
		fmt.Fprintf(notes, "! %s: nothing was seen of %d tasks, first %s: %s\n", oneLine(what), o.Tasks, ago(&o.Since), oneLine(why))
	}
}

func printMember(w, notes io.Writer, m api.Member) {
	state := "live"
	switch {
	case m.Self:
		state = "this one"
	case !m.Live:
		state = "DEAD"
		if len(m.Accounts) > 0 {
			fmt.Fprintf(notes, "! %s: nobody watches them: the replica that had them was last heard of %s\n", oneLine(few(m.Accounts)), ago(&m.LastBeatAt))
		}
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", oneLine(m.Name), state, ago(&m.Since), ago(&m.LastBeatAt), oneLine(few(m.Accounts)))
}

// few formats a list with its count, shortened to fit on a line.
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
