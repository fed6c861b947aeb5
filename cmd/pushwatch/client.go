package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"pushwatch/watcher/setting"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"pushwatch/cmd/pushwatch/internal/api"
)

const defaultServer = "http://127.0.0.1:8465"

// A client sends requests to a running daemon and prints the answers.
type client struct {
	server    string // as it was given
	tokenFile string
	output    string // "table" or "json"

	cmd       *cobra.Command // that runs
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
	groupOnly(group)
	for _, command := range commands {
		group.AddCommand(command(c))
	}
	c.flags(group)
	return group
}

// flags adds the flags that say where the daemon is and how to print.
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
	c.cmd, c.out, c.errs = cmd, cmd.OutOrStdout(), cmd.ErrOrStderr()
	if c.output != "table" && c.output != "json" {
		return usagef("--output %s: want table or json", c.output)
	}
	c.server = cmp.Or(c.server, os.Getenv("PUSHWATCH_SERVER"), defaultServer)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
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
	token := setting.Env("PUSHWATCH_TOKEN")
	if c.tokenFile != "" {
		token = setting.File(c.tokenFile)
	}
	if c.tokenFile != "" || os.Getenv("PUSHWATCH_TOKEN") != "" {
		var err error
		if c.token, err = token.Value(); err != nil {
			return usagef("token: %w", err)
		}
	}
	if !httpguts.ValidHeaderFieldValue(c.token) {
		return usagef("the token in %s has a character that no token can have: want one line of text", cmp.Or(c.tokenFile, "PUSHWATCH_TOKEN"))
	}
	return nil
}

// answerTimeout is for a whole answer, but for a stream's.
const answerTimeout = time.Minute

// do sends a request whose success has no body.
func (c *client) do(ctx context.Context, method, path string) error {
	status, _, err := c.call(ctx, method, path, nil)
	if err == nil && status != http.StatusAccepted && status != http.StatusNoContent {
		err = c.unexpected(status)
	}
	return err
}

// ask returns the object that the daemon answers with. Every such object has the
// property; by it an answer of another service is recognized.
func (c *client) ask(ctx context.Context, method, path string, body any, property string) (json.RawMessage, error) {
	status, answer, err := c.call(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(answer, &object) != nil || object[property] == nil {
		return nil, c.unexpected(status)
	}
	return answer, nil
}

// unexpected is the error for an answer that pushwatch would not give.
func (c *client) unexpected(status int) error {
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
	return nil, c.refused(answer)
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

// inCommands replaces the requests that the API advises by the commands that send them.
var inCommands = strings.NewReplacer(
	"POST /v1/tasks", "pushwatch task add",
	"?reopen=true", "--reopen",
	"GET /v1/deliveries", "pushwatch delivery list",
	"GET /v1/notifiers", "pushwatch notifier list",
)

// refused is the error for an answer that is not a success. It says what to do.
func (c *client) refused(answer *http.Response) error {
	if to, err := answer.Location(); err == nil && answer.StatusCode < 400 {
		return usagef("%s answers %s, to %s: say where pushwatch itself is with --server or PUSHWATCH_SERVER", c.server, answer.Status, oneLine(to.Redacted()))
	}
	var problem api.Problem
	if answer.Header.Get("Content-Type") != api.ProblemType || json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&problem) != nil {
		return c.unexpected(answer.StatusCode)
	}
	text := problem.Detail
	for _, e := range problem.Errors {
		value, _ := json.Marshal(e.Value)
		text += fmt.Sprintf("; %s = %s: %s", c.typed(e.Location), value, e.Message)
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

// typed is what the user types for a field of a request, such as "--stops" for
// "body.expected_stop_at"; the field itself where it is nothing that was typed.
func (c *client) typed(field string) string {
	_, name, _ := strings.Cut(field, ".")
	name, key, _ := strings.Cut(name, ".")
	if word, ok := typedAs[name]; ok {
		name = word
	}
	switch {
	case name == strings.ToUpper(name) && strings.Contains(c.cmd.Use, name):
		return name
	case c.cmd.Flags().Lookup(name) == nil:
		return field
	case key != "":
		return "--" + name + " " + key
	default:
		return "--" + name
	}
}

// typedAs are the flags, and in capitals the arguments, whose names are not those of
// their fields.
var typedAs = map[string]string{"expected_stop_at": "stops", "labels": "label", "sdk_app_id": "SDK_APP_ID", "task_id": "TASK_ID"}

// printAnswer prints an answer: as JSON where that is asked for, else as table does.
func printAnswer[T any](c *client, answer json.RawMessage, table func(w io.Writer, v T) error) error {
	if c.output == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, answer, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.out, b.String())
		return err
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if err := table(w, v); err != nil {
		return err
	}
	return w.Flush()
}

// list reads pages and prints the items: as JSON, one a line, or as a table. The
// answers have the items under that name. A limit of 0 is none; a nil query is for what
// has no pages.
func list[T any](ctx context.Context, c *client, path, items string, query url.Values, limit int, heading string, row func(T) string) error {
	const most = 500 // in a page
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
		page, after, err := c.page(ctx, path, items, query, size)
		if err != nil {
			return err
		}
		if err := printItems(c, w, page, row); err != nil {
			return err
		}
		left -= len(page)
		if after == nil || limit > 0 && left <= 0 {
			return nil
		}
		maps.Copy(query, after)
	}
}

// page reads a page of a list. after is what to add to the query for the next page; nil:
// this is the last. A page of events that is not full is the last.
func (c *client) page(ctx context.Context, path, items string, query url.Values, size int) (page []json.RawMessage, after url.Values, err error) {
	text, err := c.ask(ctx, http.MethodGet, path+"?"+query.Encode(), nil, items)
	if err != nil {
		return nil, nil, err
	}
	var answer map[string]json.RawMessage
	var cursors struct {
		Cursor     string `json:"cursor"`
		NextCursor string `json:"next_cursor"`
	}
	err = errors.Join(json.Unmarshal(text, &answer), json.Unmarshal(text, &cursors))
	if err == nil {
		err = json.Unmarshal(answer[items], &page)
	}
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read the answer of %s: %w", c.server, err)
	case cursors.NextCursor != "":
		after = url.Values{"cursor": {cursors.NextCursor}}
	case cursors.Cursor != "" && len(page) == size:
		after = url.Values{"after": {cursors.Cursor}}
	}
	return page, after, nil
}

func printItems[T any](c *client, w *tabwriter.Writer, page []json.RawMessage, row func(T) string) error {
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
	return w.Flush()
}

// timeFlag reads the value of a flag: a time of RFC 3339, or a duration, which at turns
// into a time. An empty value is nil.
func timeFlag(name, value string, at func(time.Duration) time.Time) (*time.Time, error) {
	if value == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(value); err == nil {
		return new(at(d).UTC().Truncate(time.Second)), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return nil, usagef("--%s %s: want a duration such as 90m, or a time such as 2026-11-22T19:00:00Z", name, value)
	}
	return &t, nil
}

// orZero is what p points to; the zero value for nil.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// oneLine is text without control characters, so that it cannot move the cursor of a
// terminal. Tabs stay: they separate columns.
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
	if t == nil || t.IsZero() {
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
