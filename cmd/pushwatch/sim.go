package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/watcher/tiwsim"
)

type simOptions struct {
	address, scenario, settings string
}

func newSim() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use: "sim", Short: "Run a simulated TIW service, for integration tests", Args: cobra.NoArgs,
		Long: `Sim serves a simulated TIW service that answers DescribeWhiteboardPush for
scripted pushes, and injects the faults of the scenario. It is as strict as the real
service about signatures, parameters, and 20 requests per account in any second.

It prints its accounts as TOML, ready to be pasted into a settings file, and then, on
standard error, what happens to each push. With --settings it adds the accounts to a
settings file, which it creates if it does not exist. Without --scenario it plays the
demo's scenario, with an additional push ghucnligqtgtvk2624mb of application 1400000001
that runs for ten minutes.

A scenario is a TOML file. Durations are strings such as "90s".

  limit            requests per account in any second; default 20
  count_rejected   true: refused requests count against the limit too
  latency          time before each answer; random up to latency_max, if set
  seed             of the random choices
  region_error     the code for a wrong region: UnsupportedRegion (default) or
                   InvalidParameterValue

  [[accounts]]     name, secret_id, secret_key, token, sdk_app_ids

  [[tasks]]        a push or, with count, many. Times start when the push begins.
  sdk_app_id, task_id            if count is above 1, the id contains "{n}"
  count, spread, jitter          copies, started within spread, each up to jitter late
  start_after                    when the first begins; unknown to the API before
  prepared_for, pushing_for      how long it is PREPARED and PUSHING; unset: forever
  finish_reason                  of the stop; default USER_CALL
  exceptions                     times after its start at which ExceptionCnt rises
  backup, statuses               [{ after = "5s", value = "PAUSED" }]: values of Backup,
                                 or of Status in place of the real one; empty: ends that
  error                          { after, code, message }: an API error from then on;
                                 default code FailedOperation.WhiteboardPush
  bare_after                     from then on answers contain only a RequestId
  forget_after                   how long after its end the API still knows it
  answer_task_id                 the TaskId in answers
  shape                          of missing values: null, absent or empty
  [[tasks.faults]]               faults of this push only

  [[faults]]       a fault; the first that matches a request applies
  kind             one of those below
  from, for        when it begins and how long it lasts; unset: at once, forever
  probability      that a matching request is affected; default 1
  account, sdk_app_id, task_id   which requests; unset: all (not in tasks.faults)

  kind        settings         effect
  error       code, message    an API error; default InternalError
  throttle    code, message    RequestLimitExceeded
  limit       limit            a lower limit
  fields      fields, omit     replaces fields of good answers, each by JSON in a
                               string, and leaves out others
  body        body             this text as the answer
  null empty                   the answers null and {}
  size        size             an answer of this many bytes
  http        status           a gateway's error page; default 502
  redirect    url, status      a redirect
  hang                         no answer until the fault ends
  close cut                    a connection closed before, or within, the answer
  slow        every            an answer byte by byte, with this pause`,
		Example: `  pushwatch sim --settings config.toml
  pushwatch sim --listen 127.0.0.1:8466 --scenario classes.toml

  # classes.toml
  latency = "20ms"
  [[accounts]]
  name = "school"
  secret_id = "AKIDschool"
  secret_key = "key"
  sdk_app_ids = [1400000001]
  [[tasks]]                       # 30 pushes that begin within 5 minutes
  sdk_app_id = 1400000001
  task_id = "class-{n}"
  count = 30
  spread = "5m"
  prepared_for = "3s"
  pushing_for = "45m"
  exceptions = ["10m", "12m"]
  [[tasks]]                       # one that is refused from its third minute on
  sdk_app_id = 1400000001
  task_id = "odd"
  prepared_for = "3s"
  [[tasks.faults]]
  kind = "error"
  code = "InvalidParameterValue"
  from = "3m"
  [[tasks.faults]]                # and has unusual fields before
  kind = "fields"
  fields = { RoomId = '"class-3b"', ExceptionCnt = '"0"', PushStartTime = '1.8E9' }
  omit = ["GroupId"]
  [[faults]]                      # the service is down for a minute
  kind = "http"
  from = "10m"
  for = "1m"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sim(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.address, "listen", "127.0.0.1:8466", "the `ADDRESS` to serve at")
	cmd.Flags().StringVar(&o.scenario, "scenario", "", "the scenario `FILE`, in TOML")
	cmd.Flags().StringVar(&o.settings, "settings", "", "the settings `FILE` to add the accounts to; created if it does not exist")
	cmd.MarkFlagFilename("scenario", "toml")
	cmd.MarkFlagFilename("settings", "toml")
	return cmd
}

// service returns the simulated TIW of the scenario and its accounts.
func (o *simOptions) service() (*tiwsim.Service, []tiwsim.Account, error) {
	config, doc := tiwsim.Demo(1), new(document)
	config.Tasks = append(config.Tasks, samplePush)
	if o.scenario != "" {
		text, err := os.ReadFile(o.scenario)
		if err != nil {
			return nil, nil, usagef("read scenario: %w", err)
		}
		config = tiwsim.Config{}
		doc = decode(o.scenario, text, &config)
		if err := doc.err(); err != nil {
			return nil, nil, err
		}
	}
	service, err := tiwsim.New(config)
	if err != nil {
		for _, fault := range split(err) {
			doc.faultIn("", fault)
		}
		return nil, nil, &settingsError{doc}
	}
	return service, config.Accounts, nil
}

func sim(ctx context.Context, o simOptions, out, errs io.Writer) error {
	service, accounts, err := o.service()
	if err != nil {
		return err
	}
	l, err := bind("tcp", o.address)
	if err != nil {
		return err
	}
	defer l.Close()
	if o.settings != "" {
		file, err := openSample(o.settings)
		if err != nil {
			return err
		}
		if err := file.addAccounts(accounts, urlOf(l)); err != nil {
			return err
		}
	}
	defer serveBeside(ctx, l, service).Close()
	for _, a := range accounts {
		fmt.Fprintln(out, accountTable(a, urlOf(l)))
	}
	fmt.Fprintf(errs, "# serving at %s; Ctrl-C stops it\n", urlOf(l))
	service.Follow(ctx, func(c tiwsim.Change) {
		fmt.Fprintf(errs, "%s  %d/%s  %s\n", c.At.Format("15:04:05.0"), c.SDKAppID, c.TaskID, happened(c))
	})
	stats := service.Stats()
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		fmt.Fprintf(errs, "# account %q: %d requests, at most %d in any second; answers: %v\n", name, stats[name].Requests, stats[name].MaxInSecond, stats[name].Results)
	}
	return nil
}

// accountTable returns the TOML of an account of the simulated TIW.
func accountTable(a tiwsim.Account, endpoint string) string {
	apps := strings.Trim(strings.ReplaceAll(fmt.Sprint(a.SDKAppIDs), " ", ", "), "[]")
	return fmt.Sprintf("[[accounts]]\nname = %q\nsecret_id = %q\nsecret_key = %q\nendpoint = %q\nsdk_app_ids = [%s]\n",
		a.Name, a.SecretID, a.SecretKey, endpoint, apps)
}

// inWords are the changes of a simulated push in the API's words, before the change's detail.
var inWords = map[tiwsim.What]string{
	tiwsim.Prepared: "PREPARED", tiwsim.Started: "PUSHING", tiwsim.Excepted: "ExceptionCnt = ", tiwsim.Stopped: "STOPPED, ",
	tiwsim.Restated: "Status = ", tiwsim.Backed: "Backup = ", tiwsim.Failed: "error ", tiwsim.Forgotten: "error InvalidParameter.TaskNotFound",
	tiwsim.Bared: "bare",
}

// happened describes a change of a simulated push.
func happened(c tiwsim.Change) string {
	if c.What == tiwsim.Restated && c.Detail == "" {
		return "Status as it was before"
	}
	return inWords[c.What] + c.Detail
}

// serveBeside serves in the background until the server is closed. Its requests end with
// ctx.
func serveBeside(ctx context.Context, l net.Listener, h http.Handler) *http.Server {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "pushwatch: serve:", err)
		}
	}()
	return server
}
