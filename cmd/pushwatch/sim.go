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
scripted pushes, and misbehaves where the scenario says so. It is as strict as the
real one: signature, parameters, and 20 requests in any second for each account.

It prints its accounts as TOML, ready to be pasted into a settings file, and then,
on standard error, what happens to each push. With --settings it adds the accounts to
a settings file, which it makes if there is none. Without a scenario it plays that of
the demo, and has a push ghucnligqtgtvk2624mb of application 1400000001 that goes on
for ten minutes.

A scenario is a TOML file. Durations are strings such as "90s".

  limit            requests of an account in any second; default 20
  count_rejected   true: refused requests use up the limit too
  latency          time before each answer; up to latency_max, where that is set
  seed             another number gives other random choices
  region_error     the code for a wrong region: UnsupportedRegion (default) or
                   InvalidParameterValue

  [[accounts]]     name, secret_id, secret_key, token, sdk_app_ids

  [[tasks]]        a push or, with count, many. Times count from when it begins.
  sdk_app_id, task_id            with "{n}" in the id where count is above 1
  count, spread, jitter          copies, begun within spread, each up to jitter late
  start_after                    when the first begins; not known before
  prepared_for, pushing_for      how long it is PREPARED and PUSHING; unset: for ever
  finish_reason                  of the stop; default USER_CALL
  exceptions                     times after its start at which ExceptionCnt rises
  backup, statuses               [{ after = "5s", value = "PAUSED" }]: what Backup holds,
                                 or Status instead; the empty value ends that
  error                          { after, code, message }: an API error from then on;
                                 default code FailedOperation.WhiteboardPush
  bare_after                     when answers begin to hold a RequestId alone
  forget_after                   how long after its end it is still known
  answer_task_id                 the TaskId in answers
  shape                          of values that are not there: null, absent, empty
  [[tasks.faults]]               faults of this push alone

  [[faults]]       a disturbance; the first that matches a request counts
  kind             one of those below
  from, for        when it begins and how long it lasts; unset: at once, for ever
  probability      of a request to be disturbed; default 1
  account, sdk_app_id, task_id   which requests; unset: all (not in tasks.faults)

  kind        settings         does
  error       code, message    answers an API error; default InternalError
  throttle    code, message    answers RequestLimitExceeded
  limit       limit            lowers the limit
  fields      fields, omit     replaces fields of good answers, each by JSON in a
                               string, and leaves others out
  body        body             answers any text
  null empty                   answer null and {}
  size        size             answers in so many bytes
  http        status           answers a gateway's page; default 502
  redirect    url, status      redirects
  hang                         answers when the fault ends
  close cut                    break the connection before and within the answer
  slow        every            sends a byte at a time`,
		Example: `  pushwatch sim --settings config.toml
  pushwatch sim --listen 127.0.0.1:8466 --scenario classes.toml

  # classes.toml
  latency = "20ms"
  [[accounts]]
  name = "school"
  secret_id = "AKIDschool"
  secret_key = "key"
  sdk_app_ids = [1400000001]
  [[tasks]]                       # 30 classes that begin within 5 minutes
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
  [[tasks.faults]]                # and has odd fields before
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
	cmd.Flags().StringVar(&o.settings, "settings", "", "the settings `FILE` to add the accounts to; it is made if there is none")
	cmd.MarkFlagFilename("scenario", "toml")
	cmd.MarkFlagFilename("settings", "toml")
	return cmd
}

// service returns the simulated TIW of the scenario, and the accounts that it has.
func (o *simOptions) service() (*tiwsim.Service, []tiwsim.Account, error) {
	config, doc := tiwsim.Demo(1), new(document)
	config.Tasks = append(config.Tasks, samplePush)
	if o.scenario != "" {
		text, err := os.ReadFile(o.scenario)
		if err != nil {
			return nil, nil, usagef("read scenario: %w", err)
		}
		config = tiwsim.Config{}
		if doc = decode(o.scenario, text, &config); len(doc.faults) > 0 {
			return nil, nil, &settingsError{doc}
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
	server, err := serveBeside(ctx, l, service)
	if err != nil {
		return err
	}
	defer server.Close()
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

// accountTable is an account of the simulated TIW at an address, as the settings have it.
func accountTable(a tiwsim.Account, endpoint string) string {
	apps := strings.Trim(strings.ReplaceAll(fmt.Sprint(a.SDKAppIDs), " ", ", "), "[]")
	return fmt.Sprintf("[[accounts]]\nname = %q\nsecret_id = %q\nsecret_key = %q\nendpoint = %q\nsdk_app_ids = [%s]\n",
		a.Name, a.SecretID, a.SecretKey, endpoint, apps)
}

// happened says what a change in a scripted life means, in the API's words.
func happened(c tiwsim.Change) string {
	switch c.What {
	case tiwsim.Prepared:
		return "PREPARED"
	case tiwsim.Started:
		return "PUSHING"
	case tiwsim.Excepted:
		return "ExceptionCnt = " + c.Detail
	case tiwsim.Stopped:
		return "STOPPED, " + c.Detail
	case tiwsim.Restated:
		if c.Detail == "" {
			return "Status as it was before"
		}
		return "Status = " + c.Detail
	case tiwsim.Failed:
		return "error " + c.Detail
	case tiwsim.Forgotten:
		return "error InvalidParameter.TaskNotFound"
	case tiwsim.Backed:
		return "Backup = " + c.Detail
	default:
		return string(c.What)
	}
}

// serveBeside serves in the background, for as long as ctx and the server live.
func serveBeside(ctx context.Context, l net.Listener, h http.Handler) (*http.Server, error) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "pushwatch: serve:", err)
		}
	}()
	return server, nil
}
