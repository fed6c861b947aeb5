package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher/setting"
)

type listenOptions struct {
	address, secretFile, settings string
}

func newListen() *cobra.Command {
	var o listenOptions
	cmd := &cobra.Command{
		Use: "listen", Short: "Receive webhooks, verify them and print them", Args: cobra.NoArgs,
		Long: `Listen is a webhook receiver for people who write one: it verifies the signature
of what comes in, prints each event on a line and its body below, and answers 204;
what does not verify is refused with 401.

With --settings it adds itself to a settings file as the notifier "listen", or uses
the secret of that notifier where the file has it already. Without --settings and
--secret-file it makes a secret and prints such a notifier.`,
		Example: `  pushwatch listen --settings config.toml
  pushwatch listen --listen 0.0.0.0:8467 --secret-file webhook-key`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listenForWebhooks(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.address, "listen", "127.0.0.1:8467", "the `ADDRESS` to listen at")
	cmd.Flags().StringVar(&o.secretFile, "secret-file", "", "the `FILE` with the secrets, whsec_…, one a line")
	cmd.Flags().StringVar(&o.settings, "settings", "", "the settings `FILE` to add the receiver to; it is made if there is none")
	cmd.MarkFlagFilename("secret-file")
	cmd.MarkFlagFilename("settings", "toml")
	return cmd
}

func listenForWebhooks(ctx context.Context, o listenOptions, out, errs io.Writer) error {
	if o.settings != "" && o.secretFile != "" {
		return usagef("--settings and --secret-file: want one of them, which has the secret")
	}
	l, err := bind("tcp", o.address)
	if err != nil {
		return err
	}
	defer l.Close()
	keys, table, err := o.keys(urlOf(l))
	if err != nil {
		return err
	}
	receiver := notifytest.New(notifytest.Config{Keys: keys, Keep: 1, OnDelivery: func(d notifytest.Delivery) {
		verdict := "verified"
		if !d.Verified {
			verdict = fmt.Sprintf("NOT VERIFIED: %v", d.Err)
		}
		fmt.Fprintf(out, "%s  %-20s %s  sequence %d  attempt %d  %s\n%s\n", d.At.Format("15:04:05.000"), oneLine(d.Event.Type), oneLine(d.Event.Subject), d.Event.Sequence, d.Attempt, verdict, printable(d.Body))
	}})
	server, err := serveBeside(ctx, l, receiver)
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Fprintf(errs, "listening at %s; Ctrl-C stops it\n", urlOf(l))
	if table != "" {
		fmt.Fprintf(errs, "\n%s\n", table)
	}
	<-ctx.Done()
	return nil
}

// keys returns the keys to verify with. Where nobody else has them yet, it makes one and
// returns the notifier that the sender's settings need.
func (o *listenOptions) keys(url string) (keys []signing.Key, table string, err error) {
	switch {
	case o.secretFile != "":
		text, err := setting.ReadFile(o.secretFile)
		if err != nil {
			return nil, "", usagef("read secrets: %w", err)
		}
		keys, err = parseKeys(strings.Fields(string(text)), o.secretFile)
		return keys, "", err
	case o.settings != "":
		file, err := openSample(o.settings)
		if err != nil {
			return nil, "", err
		}
		secrets, err := file.addReceiver(url)
		if err != nil {
			return nil, "", err
		}
		keys, err = parseKeys(secrets, o.settings)
		return keys, "", err
	default:
		secret := signing.GenerateSecret()
		keys, err = parseKeys([]string{secret}, "")
		return keys, notifierTable(sampleNotifier, url, secret), err
	}
}

// parseKeys reads secrets that stand in a file.
func parseKeys(secrets []string, file string) (keys []signing.Key, err error) {
	for i, secret := range secrets {
		key, err := signing.ParseKey(secret)
		if err != nil {
			return nil, usagef("read secrets: line %d of %s: %w", i+1, file, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, usagef("read secrets: %s is empty: want a secret such as whsec_ and 32 random bytes in base64", file)
	}
	return keys, nil
}

// notifierTable is a webhook receiver on this machine that gets every event, as the
// settings have it.
func notifierTable(name, url, secret string) string {
	return fmt.Sprintf("[[notifiers]]\nname = %q\ntype = \"webhook\"\nurl = %q\nsecrets = [%q]\nevents = [\"*\"]\nallow_cidrs = [\"127.0.0.1/32\"]\n",
		name, url, secret)
}

// printable is a body on one line: as it came where it is JSON, else quoted, so
// that nothing a stranger sends can write to the terminal.
func printable(body []byte) string {
	if json.Valid(body) {
		return oneLine(strings.NewReplacer("\n", " ", "\r", " ").Replace(string(body)))
	}
	return fmt.Sprintf("%.500q", body)
}
