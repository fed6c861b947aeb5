package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher/loop"
)

// eventRow formats an event as a row of a table, with the local time.
func eventRow(e api.Event) string {
	var data api.TaskEventData // other events have no sequence and no labels
	json.Unmarshal(e.Data.RawMessage, &data)
	sequence, note := "-", labelText(data.Labels)
	if data.Sequence > 0 {
		sequence = fmt.Sprint(data.Sequence)
	}
	if data.Error != nil {
		note = data.Error.Code
	}
	return fmt.Sprintf("%s\t%-19s\t%s\t%s\t%s", e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Type, e.Subject, sequence, note)
}

const eventHeading = "TIME\tTYPE\tSUBJECT\tSEQUENCE\tLABELS OR ERROR"

func newEvent() *cobra.Command {
	return newClient("event", "List or follow events of a running daemon", eventList, eventFollow)
}

// eventFilter adds the flags that select events, and returns a function that makes the
// query from them.
func eventFilter(cmd *cobra.Command, after string) func() url.Values {
	var types []string
	cmd.Flags().StringSliceVar(&types, "type", nil, "only events of this `TYPE`, such as push.stopped or push.*; may be repeated")
	cmd.Flags().String("subject", "", "only events of this `SUBJECT`, such as 1400000001/ghucnligqtgtvk2624mb")
	cmd.Flags().String("after", after, "begin after this `CURSOR`; \"now\": with new events; empty: with the oldest")
	return func() url.Values {
		query := flagQuery(cmd, "subject", "after")
		query["type"] = types
		return query
	}
}

func eventList(c *client) *cobra.Command {
	var limit, last int
	cmd := &cobra.Command{
		Use: "list", Short: "List events, oldest first", Args: cobra.NoArgs,
		Example: "  pushwatch event list --last 20 --type push.failed",
	}
	query := eventFilter(cmd, "")
	limitFlag(cmd, &limit)
	cmd.Flags().IntVar(&last, "last", 0, "the newest `N` events, at most 500, instead of the oldest ones")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := query()
		if cmd.Flags().Changed("last") {
			switch {
			case last < 1 || last > 500:
				return usagef("--last %d: want between 1 and 500", last)
			case cmd.Flags().Changed("limit"):
				return usagef("want either --last or --limit")
			}
			query.Set("newest", "true")
			limit = last
		}
		return list(cmd.Context(), c, "/v1/events", "events", query, limit, eventHeading, eventRow)
	}
	return cmd
}

func eventFollow(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use: "follow", Short: "Print events as they happen", Args: cobra.NoArgs,
		Long: `Follow prints events as they happen, until it is stopped. If the connection is lost it
reconnects and continues after the last event, without loss or repetition.`,
	}
	query := eventFilter(cmd, "now")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.follow(cmd.Context(), query()) }
	return cmd
}

// errOutput means that standard output is closed or full.
var errOutput = errors.New("print event")

// streamTimeout is how long a stream may be silent. The daemon writes every 10 s.
const streamTimeout = 30 * time.Second

// follow prints events until ctx ends. Only the first connection has to succeed.
func (c *client) follow(ctx context.Context, query url.Values) error {
	pauses := backoff.NewExponentialBackOff(backoff.WithMaxInterval(15*time.Second), backoff.WithMaxElapsedTime(0))
	cursor := ""
	for connected := false; ; {
		err := c.stream(ctx, query, &cursor, func() {
			connected = true
			pauses.Reset()
		})
		_, refused := errors.AsType[*usageError](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case !connected, refused, errors.Is(err, errOutput):
			return err
		}
		pause := pauses.NextBackOff()
		fmt.Fprintf(c.errs, "connection lost: %v: trying again in %s\n", err, pause.Round(100*time.Millisecond))
		if !loop.Sleep(ctx, pause) {
			return nil
		}
	}
}

// stream prints events until the connection is lost. It begins after *cursor, unless that
// is empty, and moves *cursor along.
func (c *client) stream(ctx context.Context, query url.Values, cursor *string, connected func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := time.AfterFunc(streamTimeout, func() { cancel(fmt.Errorf("no data for %s", streamTimeout)) })
	defer timeout.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if *cursor != "" {
		header.Set("Last-Event-ID", *cursor)
	}
	answer, err := c.send(ctx, http.MethodGet, "/v1/events/stream?"+query.Encode(), nil, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") != "text/event-stream" {
		return c.unexpected(answer.StatusCode)
	}
	connected()
	err = c.printStream(answer.Body, cursor, func() { timeout.Reset(streamTimeout) })
	return cmp.Or(context.Cause(ctx), err)
}

// printStream prints the events of a stream until reading or printing fails. received is
// called for each line.
func (c *client) printStream(stream io.Reader, cursor *string, received func()) error {
	lines := bufio.NewReader(stream)
	id, data := *cursor, ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		received()
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case line == "\n": // the event is complete
			if data != "" {
				if err := c.printEvent(c.out, data); err != nil {
					return err
				}
			}
			*cursor, data = id, ""
		}
	}
}

func (c *client) printEvent(w io.Writer, data string) error {
	if c.output == "table" {
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		data = oneLine(strings.ReplaceAll(eventRow(e), "\t", "  "))
	}
	if _, err := fmt.Fprintln(w, data); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}
