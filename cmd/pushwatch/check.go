package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"pushwatch/notify/chat"
	"pushwatch/watcher"
)

func newCheck() *cobra.Command {
	var file string
	var online bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the settings and print them", Args: cobra.NoArgs,
		Long: `Check reads the settings as serve does and prints every fault with its file, line
and column. It also tests whether serve, run by the same user, could use the database's
folder and the listen address. Then it prints the effective settings, with defaults
and with secrets masked, and the proxy of each account and notifier.

With --online it also sends one signed request per account, for its first application,
and connects to each notifier without sending anything.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd.Context(), file, online, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&online, "online", false, "also send one request per account and connect to each notifier")
	return cmd
}

func check(ctx context.Context, file string, online bool, out, errs io.Writer) error {
	s, doc, err := readSettings(file)
	if err == nil {
		s.checkMachine(doc)
		err = doc.err()
	}
	if doc != nil {
		for _, w := range doc.sorted(true) {
			fmt.Fprintln(errs, doc.print(w))
		}
	}
	if err != nil {
		return err
	}
	text, err := s.printed()
	if err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	if _, err := fmt.Fprintf(out, "# effective settings\n%s", text); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	s.printProxies(errs)
	fmt.Fprintf(errs, "%s: no faults\n", file)
	if !online {
		return nil
	}
	return s.checkOnline(ctx, errs)
}

// printed returns the effective settings as TOML. A notifier's settings that have no
// effect for its type are left out.
func (s settings) printed() ([]byte, error) {
	var notifiers []any
	for _, n := range s.Notifiers {
		value := reflect.ValueOf(n)
		fields := slices.DeleteFunc(slices.Collect(value.Type().Fields()), func(f reflect.StructField) bool { return !n.hasEffect(f) })
		shown := reflect.New(reflect.StructOf(fields)).Elem()
		for i, field := range fields {
			shown.Field(i).Set(value.FieldByName(field.Name))
		}
		notifiers = append(notifiers, shown.Interface())
	}
	s.Notifiers = nil
	text, err := toml.Marshal(s)
	if err != nil || notifiers == nil {
		return text, err
	}
	rest, err := toml.Marshal(map[string]any{"notifiers": notifiers})
	return slices.Concat(text, []byte("\n"), rest), err
}

// checkOnline tests each account and notifier over the network, and prints the results.
func (s *settings) checkOnline(ctx context.Context, out io.Writer) error {
	failed := 0
	report := func(what string, err error) {
		if err != nil {
			failed++
			fmt.Fprintf(out, "%s: %v\n", what, err)
			return
		}
		fmt.Fprintf(out, "%s: ok\n", what)
	}
	for _, a := range s.Accounts {
		app := a.SDKAppIDs[0] // one request: more could exceed the account's limit
		what := fmt.Sprintf("account %s, application %d", a.Name, app)
		if others := len(a.SDKAppIDs) - 1; others > 0 {
			what += fmt.Sprintf(" (%d more not checked)", others)
		}
		report(what, a.try(ctx, app, s.Watch.RequestTimeout.Std()))
	}
	for _, n := range s.Notifiers {
		if n.Type == "log" {
			continue
		}
		sender, err := n.sender()
		if err == nil {
			err = sender.Check(ctx)
		}
		if errors.Is(err, chat.ErrUnknownHost) {
			fmt.Fprintf(out, "notifier %s: %v\n", n.Name, err)
			continue
		}
		report("notifier "+n.Name, err)
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// probeID is a well-formed task id that belongs to no task.
const probeID = "pushwatchonlinecheck"

// try asks for a task that does not exist. If TIW says so, then credentials, permission,
// region and application are right.
func (a *accountSettings) try(ctx context.Context, app int64, timeout time.Duration) error {
	cloud, err := a.cloud(a.client())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = cloud.Describe(ctx, watcher.Key{SDKAppID: app, TaskID: probeID})
	fault, ok := errors.AsType[*watcher.CloudError](err)
	switch {
	case err == nil:
		return fmt.Errorf("a task that does not exist (%s) is answered as if it did: %s", probeID, notTIW)
	case !ok:
		return err
	case fault.Kind == watcher.UnknownTask:
		return nil
	}
	return fmt.Errorf("%w: %s", err, remedy(fault))
}

// remedy returns what to do about an error.
func remedy(fault *watcher.CloudError) string {
	if strings.Contains(fault.Message, "X-TC-Region") {
		return region
	}
	for _, r := range remedies {
		if strings.HasPrefix(fault.Code, r.code) {
			return r.remedy
		}
	}
	return "TIW answers with an error of its own: see the code in its documentation, https://www.tencentcloud.com/document/api/1176/55161, and try again later"
}

// remedies are what to do about errors, by the beginning of their code; longer ones first.
var remedies = []struct{ code, remedy string }{
	{"AuthFailure.SignatureExpire", "set this machine's clock: it is off by more than five minutes"},
	{"AuthFailure.SignatureFailure", "secret_key does not belong to secret_id"},
	{"AuthFailure.SecretIdNotFound", "secret_id is unknown or disabled"},
	{"AuthFailure.TokenFailure", "session_token is wrong or has expired"},
	{"AuthFailure.UnauthorizedOperation", grant},
	{"UnauthorizedOperation.SdkAppId", "the application does not belong to this account"},
	{"UnauthorizedOperation", grant},
	{"ResourceUnavailable.NotRegistered", "TIW is not enabled for this application"},
	{"ResourceUnavailable.ServiceExpired", "the account is in arrears, or TIW has expired"},
	{"UnsupportedRegion", region},
	{"InvalidParameter", "TIW does not accept a part of the request: check region, endpoint and sdk_app_ids"},
	{"MissingParameter", notTIW},
	{"UnknownParameter", notTIW},
	{"InvalidAction", notTIW},
	{"NoSuchVersion", notTIW},
	{"IpInBlacklist", address},
	{"IpNotInWhitelist", address},
	{"credentials", "there are no keys to sign with: check secret_id and secret_key, or the role or profile"},
	{"timeout", network},
	{"network", network},
	{"http ", notTIW},
	{"unreadable", notTIW},
	{"RequestLimitExceeded", "others use the account's 20 requests a second: give pushwatch less with requests_per_second"},
}

const (
	grant   = "the permission is missing: allow the action name/tiw:DescribeWhiteboardPush to these credentials"
	region  = "check region: TIW's international site serves ap-singapore, the mainland site (tiw.tencentcloudapi.com) ap-guangzhou"
	notTIW  = "check endpoint: it does not answer as TIW's API does; a proxy or a login page may be in between"
	network = "check endpoint, proxy_url or HTTPS_PROXY, ca_file, and the firewall"
	address = "the account does not allow this machine's address: see its access policy"
)
