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

func newSim() *cobra.Command {
	var address, scenario string
	cmd := &cobra.Command{
		Use: "sim", Short: "Run a simulated TIW service, for integration tests", Args: cobra.NoArgs,
		Long: `Sim serves a simulated TIW service that answers DescribeWhiteboardPush for
scripted pushes, and misbehaves where the scenario says so. It is as strict as the
real one: signature, parameters, and 20 requests in any second for each account.

It prints its accounts as TOML, ready to be pasted into a settings file, and then,
on standard error, what happens to each push. Without a scenario it plays that of
the demo.`,
		Example: `  pushwatch sim --listen 127.0.0.1:8466 --scenario classes.toml

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
  [[faults]]                      # the service is down for a minute
  kind = "http"
  from = "10m"
  for = "1m"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sim(cmd.Context(), address, scenario, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8466", "the `ADDRESS` to serve at")
	cmd.Flags().StringVar(&scenario, "scenario", "", "the scenario `FILE`, in TOML")
	cmd.MarkFlagFilename("scenario", "toml")
	return cmd
}

func sim(ctx context.Context, address, scenario string, out, errs io.Writer) error {
	config, doc := tiwsim.Demo(1), new(document)
	if scenario != "" {
		text, err := os.ReadFile(scenario)
		if err != nil {
			return usagef("read scenario: %w", err)
		}
		config = tiwsim.Config{}
		if doc = decode(scenario, text, &config); len(doc.faults) > 0 {
			return &settingsError{doc}
		}
	}
	service, err := tiwsim.New(config)
	if err != nil {
		for _, fault := range split(err) {
			doc.faultIn("", fault)
		}
		return &settingsError{doc}
	}
	l, err := bind("tcp", address)
	if err != nil {
		return err
	}
	server, err := serveBeside(ctx, l, service)
	if err != nil {
		return err
	}
	defer server.Close()
	for _, a := range config.Accounts {
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
