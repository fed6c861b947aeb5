package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"
)

const defaultServer = "http://127.0.0.1:8465"

// A client asks a running daemon for something and prints the answer.
type client struct {
	server    string // as it was given
	tokenFile string
	output    string // "table" or "json"

	out, errs io.Writer
	http      *http.Client
	base      string
	token     string
}

// newClient makes a group of commands that talk to a running daemon.
func newClient(use, short string, commands ...func(*client) *cobra.Command) *cobra.Command {
	c := &client{}
	group := &cobra.Command{
		Use: use, Short: short,
	}
	onlyGroups(group)
	for _, command := range commands {
		group.AddCommand(command(c))
	}
	c.flags(group)
	return group
}

// flags adds what says where the daemon is and how to print.
func (c *client) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.server, "server", "", "the daemon's address, `URL`, or unix:/path (default $PUSHWATCH_SERVER or "+defaultServer+")")
	f.StringVar(&c.tokenFile, "token-file", "", "the `FILE` with a token (default: the token in $PUSHWATCH_TOKEN)")
	f.StringVarP(&c.output, "output", "o", "table", "table, for people: times are relative; or json, for programs")
	cmd.MarkPersistentFlagFilename("token-file")
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.prepare(cmd) }
}

// prepare reads the flags and the environment.
func (c *client) prepare(cmd *cobra.Command) error {
	c.out, c.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if c.output != "table" && c.output != "json" {
		return usagef("--output %s: want table or json", c.output)
	}
	c.server = cmp.Or(c.server, os.Getenv("PUSHWATCH_SERVER"), defaultServer)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c.base = strings.TrimSuffix(c.server, "/")
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // one that is followed can turn a DELETE into a GET, and so into a false success
	}}
	if path, ok := strings.CutPrefix(c.server, "unix:"); ok {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	} else if u, err := url.Parse(c.server); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usagef("--server %s: want a URL such as %s, or unix:/path", c.server, defaultServer)
	}
	c.token = os.Getenv("PUSHWATCH_TOKEN")
	if c.tokenFile != "" {
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return usagef("read token: %w", err)
		}
		c.token = string(text)
	}
	c.token = strings.TrimSpace(c.token)
	if !httpguts.ValidHeaderFieldValue(c.token) {
		return usagef("the token in %s has a character that no token can have: want one line of text", cmp.Or(c.tokenFile, "PUSHWATCH_TOKEN"))
	}
	return nil
}

// answerTimeout is for a whole answer, but for a stream's.
const answerTimeout = time.Minute

// do has the daemon do something that it has nothing to say about.
func (c *client) do(ctx context.Context, method, path string) error {
	status, _, err := c.call(ctx, method, path, nil)
	if err == nil && status != http.StatusAccepted && status != http.StatusNoContent {
		err = c.foreign(status)
	}
	return err
}

// ask returns the object that the daemon answers with. Every such object has the
// property; another service may answer too, but not with that.
func (c *client) ask(ctx context.Context, method, path string, body any, property string) (json.RawMessage, error) {
	status, answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(answer, &object) != nil || object[property] == nil {
		return nil, c.foreign(status)
	}
	return answer, nil
}

// foreign is the error for an answer that pushwatch would not give.
func (c *client) foreign(status int) error {
	return fmt.Errorf("%s answers %d %s, and not as pushwatch does: is that its address?", c.server, status, http.StatusText(status))
}

// call sends a request and reads the whole answer. body is sent as JSON; nil: nothing
// is sent.
func (c *client) call(ctx context.Context, method, path string, body any) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %s", answerTimeout))
	defer cancel()
	r, err := c.send(ctx, method, path, body, nil)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	if answer, err = io.ReadAll(r.Body); err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s: %w", c.server, cmp.Or(context.Cause(ctx), err))
	}
	return r.StatusCode, answer, nil
}

// send sends a request. An answer that is not a success is an error.
func (c *client) send(ctx context.Context, method, path string, body any, header http.Header) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	if header != nil {
		r.Header = header
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if cause := context.Cause(ctx); cause != nil { // such as Ctrl-C: it says nothing of the daemon
		return nil, fmt.Errorf("ask %s: %w", c.server, cause)
	}
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL, which stands there already
		}
		return nil, &unreachableError{c.server, err}
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.refusal(answer)
}

// An unreachableError means that nobody answers.
type unreachableError struct {
	server string
	err    error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no pushwatch answers at %s: %v: start it with \"pushwatch serve\", or say where it is with --server or PUSHWATCH_SERVER", e.server, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

// inCommands puts what the API says to do next into the words of the commands.
var inCommands = strings.NewReplacer(
	"POST /v1/tasks", "pushwatch task add",
	"?reopen=true", "--reopen",
	"GET /v1/deliveries", "pushwatch delivery list",
	"GET /v1/notifiers", "pushwatch notifier list",
)

// refusal is an answer that is not a success, as an error that says what to do.
func (c *client) refusal(answer *http.Response) error {
	if to, err := answer.Location(); err == nil && answer.StatusCode < 400 {
		return usagef("%s answers %s, to %s: say where pushwatch itself is with --server or PUSHWATCH_SERVER", c.server, answer.Status, oneLine(to.Redacted()))
	}
	var problem struct {
		Detail string
		Errors []struct {
			Location, Message string
			Value             any
		}
	}
	if answer.Header.Get("Content-Type") != "application/problem+json" || json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&problem) != nil {
		return c.foreign(answer.StatusCode)
	}
	text := problem.Detail
	for _, e := range problem.Errors {
		value, _ := json.Marshal(e.Value)
		text += fmt.Sprintf("; %s = %s: %s", e.Location, value, e.Message)
	}
	text = oneLine(inCommands.Replace(text))
	switch {
	case answer.StatusCode == http.StatusUnauthorized && c.token == "":
		return usagef("%s wants a token: give one with --token-file or PUSHWATCH_TOKEN", c.server)
	case answer.StatusCode == http.StatusUnauthorized:
		return usagef("%s does not know this token: give another with --token-file or PUSHWATCH_TOKEN", c.server)
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusConflict, answer.StatusCode >= 500:
		return errors.New(text)
	default:
		return usagef("%s", text)
	}
}

// print prints an answer: as JSON where that is asked for, else as table does.
func (c *client) print(answer json.RawMessage, table func(w io.Writer) error) error {
	if c.output == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, answer, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.out, b.String())
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if err := table(w); err != nil {
		return err
	}
	return w.Flush()
}

// list reads pages and prints the items: as JSON, one a line, or as a table. The
// answers have the items under that name. A limit of 0 is none; a nil query is for what
// has no pages.
func list[T any](ctx context.Context, c *client, path, items string, query url.Values, limit int, heading string, row func(T) string) error {
	const most = 500 // of what has pages
	if limit < 0 {
		return usagef("--limit %d: want how many at most, or 0 for all", limit)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if c.output == "table" {
		fmt.Fprintln(w, heading)
	}
	for left := limit; ; {
		size := most
		if limit > 0 {
			size = min(most, left)
		}
		if query != nil {
			query.Set("limit", fmt.Sprint(size))
		}
		text, err := c.ask(ctx, http.MethodGet, path+"?"+query.Encode(), nil, items)
		if err != nil {
			return err
		}
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(text, &answer); err != nil {
			return fmt.Errorf("read the answer of %s: %w", c.server, err)
		}
		var page []json.RawMessage
		if err := json.Unmarshal(answer[items], &page); err != nil {
			return fmt.Errorf("read the answer of %s: %w", c.server, err)
		}
		for _, item := range page {
			if c.output == "json" {
				fmt.Fprintln(w, string(item))
				continue
			}
			var v T
			if err := json.Unmarshal(item, &v); err != nil {
				return fmt.Errorf("read the answer of %s: %w", c.server, err)
			}
			fmt.Fprintln(w, oneLine(row(v)))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		left -= len(page)
		var next string
		name := "cursor"
		if cursor, ok := answer["cursor"]; ok { // events have no last page: one that is not full is
			name = "after"
			json.Unmarshal(cursor, &next)
			if len(page) < size {
				next = ""
			}
		} else {
			json.Unmarshal(answer["next_cursor"], &next)
		}
		if next == "" || limit > 0 && left <= 0 {
			return nil
		}
		query.Set(name, next)
	}
}

// oneLine is text that cannot write to the terminal but where it stands. Tabs
// stay: they part the columns.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// short cuts text to a width that leaves a table on its lines.
func short(s string) string {
	const width = 50
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return cmp.Or(s, "-")
}

// ago is a time as people compare it: "12s ago", "in 3m0s", "-" for none.
func ago(t *time.Time) string {
	if t == nil {
		return "-"
	}
	d := time.Since(*t)
	if d < 0 {
		return "in " + age(-d)
	}
	return age(d) + " ago"
}

// age is a time span as people read it: to the second, a long one to the minute.
func age(d time.Duration) string {
	if d > time.Hour {
		return d.Round(time.Minute).String()
	}
	return d.Round(time.Second).String()
}
