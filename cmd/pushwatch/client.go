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
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/watcher/setting"
)

const defaultServer = "http://127.0.0.1:8465"

// A client sends requests to a running daemon and prints the answers.
type client struct {
	server    string // as it was given
	tokenFile string
	output    string // "table" or "json"

	cmd       *cobra.Command // the one that runs
	out, errs io.Writer
	http      *http.Client
	base      string
	token     string
}

// newClient returns a group of commands that talk to a running daemon.
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

// flags adds the flags for the daemon's address, the token and the output format.
func (c *client) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.server, "server", "", "the daemon's address, `URL`, or unix:/path (default $PUSHWATCH_SERVER or "+defaultServer+")")
	f.StringVar(&c.tokenFile, "token-file", "", "the `FILE` with a token (default: the token in $PUSHWATCH_TOKEN)")
	f.StringVarP(&c.output, "output", "o", "table", "the `FORMAT`: table, with relative times, or json")
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
		return http.ErrUseLastResponse // following can turn a DELETE into a GET, and so into a false success
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
		return usagef("the token in %s has a character that is not allowed in a token: want one line of text", cmp.Or(c.tokenFile, "PUSHWATCH_TOKEN"))
	}
	return nil
}

// answerTimeout bounds every request but streams.
const answerTimeout = time.Minute

// do sends a request whose success has no body.
func (c *client) do(ctx context.Context, method, path string) error {
	status, _, err := c.call(ctx, method, path, nil)
	if err == nil && status != http.StatusAccepted && status != http.StatusNoContent {
		err = c.unexpected(status)
	}
	return err
}

// ask sends a request and returns the JSON object of the answer. An object without the
// property does not come from pushwatch.
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

// unexpected is the error for an answer that does not come from pushwatch.
func (c *client) unexpected(status int) error {
	return fmt.Errorf("%s answers %d %s, and not as pushwatch does: is that its address?", c.server, status, http.StatusText(status))
}

// call sends a request and reads the whole answer. body is sent as JSON; nil: no body.
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
	if cause := context.Cause(ctx); cause != nil { // such as Ctrl-C: not the daemon's fault
		return nil, fmt.Errorf("ask %s: %w", c.server, cause)
	}
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // omits the URL, which is in the message already
		}
		return nil, fmt.Errorf("no pushwatch answers at %s: %w: start it with \"pushwatch serve\", or give its address with --server or PUSHWATCH_SERVER", c.server, err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.refused(answer)
}

// inCommands replaces API requests in the daemon's advice by the equivalent commands.
var inCommands = strings.NewReplacer(
	"POST /v1/tasks", "pushwatch task add",
	"?reopen=true", "--reopen",
	"GET /v1/deliveries", "pushwatch delivery list",
	"GET /v1/notifiers", "pushwatch notifier list",
)

// retryable are the 4xx statuses after which a later attempt may succeed.
var retryable = []int{http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests}

// refused returns the error for an answer that is not a success, with what to do.
func (c *client) refused(answer *http.Response) error {
	if to, err := answer.Location(); err == nil && answer.StatusCode < 400 {
		return usagef("%s answers %s, to %s: give pushwatch's own address with --server or PUSHWATCH_SERVER", c.server, answer.Status, oneLine(to.Redacted()))
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
		return usagef("%s requires a token: give one with --token-file or PUSHWATCH_TOKEN", c.server)
	case answer.StatusCode == http.StatusUnauthorized:
		return usagef("%s rejects this token: give another with --token-file or PUSHWATCH_TOKEN", c.server)
	case slices.Contains(retryable, answer.StatusCode), answer.StatusCode >= 500:
		return errors.New(text)
	default:
		return usagef("%s", text)
	}
}

// typed returns what the user typed for a field of a request, such as "--stops" for
// "body.expected_stop_at"; the field itself if it has no flag or argument.
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

// typedAs maps fields to flags, or in capitals arguments, of another name.
var typedAs = map[string]string{"expected_stop_at": "stops", "labels": "label", "sdk_app_id": "SDK_APP_ID", "task_id": "TASK_ID"}
