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
		Long: `Listen is a webhook receiver for developers of receivers. It verifies the signature of
each webhook, prints a line for the event and then its body, and answers 204. It answers
401 to a webhook that does not verify.

With --settings it adds itself to a settings file as the notifier "listen"; if the file
already has that notifier, it uses its secrets. Without --settings and --secret-file it
makes a secret and prints a notifier to add to your settings.`,
		Example: `  pushwatch listen --settings config.toml
  pushwatch listen --listen 0.0.0.0:8467 --secret-file webhook-key`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listenForWebhooks(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.address, "listen", "127.0.0.1:8467", "the `ADDRESS` to listen at")
	cmd.Flags().StringVar(&o.secretFile, "secret-file", "", "the `FILE` with the secrets, whsec_…, one per line")
	cmd.Flags().StringVar(&o.settings, "settings", "", "the settings `FILE` to add the receiver to; created if it does not exist")
	cmd.MarkFlagFilename("secret-file")
	cmd.MarkFlagFilename("settings", "toml")
	return cmd
}

func listenForWebhooks(ctx context.Context, o listenOptions, out, errs io.Writer) error {
	if o.settings != "" && o.secretFile != "" {
		return usagef("--settings and --secret-file: want only one of them")
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
	defer serveBeside(ctx, l, receiver).Close()
	fmt.Fprintf(errs, "listening at %s; Ctrl-C stops it\n", urlOf(l))
	if table != "" {
		fmt.Fprintf(errs, "\n%s\n", table)
	}
	<-ctx.Done()
	return nil
}

// keys returns the keys to verify with. Without a file it makes a key and also returns the
// notifier for the sender's settings.
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

// parseKeys parses the secrets of a file.
func parseKeys(secrets []string, file string) (keys []signing.Key, err error) {
	for i, secret := range secrets {
		key, err := signing.ParseKey(secret)
		if err != nil {
			return nil, usagef("read secrets: line %d of %s: %w", i+1, file, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, usagef("read secrets: %s is empty: want a secret: whsec_ and 32 random bytes in base64", file)
	}
	return keys, nil
}

// notifierTable returns the TOML of a notifier for a webhook receiver on this machine that
// gets all events.
func notifierTable(name, url, secret string) string {
	return fmt.Sprintf("[[notifiers]]\nname = %q\ntype = \"webhook\"\nurl = %q\nsecrets = [%q]\nevents = [\"*\"]\nallow_cidrs = [\"127.0.0.1/32\"]\n",
		name, url, secret)
}

// printable returns a body as one line: unchanged if it is JSON, otherwise quoted, so that
// no sender can control the terminal.
func printable(body []byte) string {
	if json.Valid(body) {
		return oneLine(strings.NewReplacer("\n", " ", "\r", " ").Replace(string(body)))
	}
	return fmt.Sprintf("%.500q", body)
}
