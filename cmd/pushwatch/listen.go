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

func newListen() *cobra.Command {
	var address, secretFile string
	cmd := &cobra.Command{
		Use: "listen", Short: "Receive webhooks, verify them and print them", Args: cobra.NoArgs,
		Long: `Listen is a webhook receiver for people who write one: it verifies the signature
of what comes in, prints each event on a line and its body below, and answers 204;
what does not verify is refused with 401.

Without --secret-file it makes a secret and prints it, with a notifier to paste
into the settings.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listenForWebhooks(cmd.Context(), address, secretFile, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8467", "the `ADDRESS` to listen at")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "the `FILE` with the secrets, whsec_…, one a line")
	cmd.MarkFlagFilename("secret-file")
	return cmd
}

func listenForWebhooks(ctx context.Context, address, secretFile string, out, errs io.Writer) error {
	keys, secret, err := receiverKeys(secretFile)
	if err != nil {
		return err
	}
	l, err := bind("tcp", address)
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
	if secret != "" {
		fmt.Fprintf(errs, "\n%s\n", notifierTable("listen", urlOf(l), secret))
	}
	<-ctx.Done()
	return nil
}

// notifierTable is a webhook receiver on this machine that gets every event, as the
// settings have it.
func notifierTable(name, url, secret string) string {
	return fmt.Sprintf("[[notifiers]]\nname = %q\ntype = \"webhook\"\nurl = %q\nsecrets = [%q]\nevents = [\"*\"]\nallow_cidrs = [\"127.0.0.1/32\"]\n",
		name, url, secret)
}

// receiverKeys reads the keys to verify with, or makes one; then secret is what
// the sender has to be given.
func receiverKeys(file string) (keys []signing.Key, secret string, err error) {
	lines := []string{signing.GenerateSecret()}
	if file == "" {
		secret = lines[0]
	} else {
		text, err := setting.ReadFile(file)
		if err != nil {
			return nil, "", usagef("read secrets: %w", err)
		}
		lines = strings.Fields(string(text))
	}
	for i, line := range lines {
		key, err := signing.ParseKey(line)
		if err != nil {
			return nil, "", usagef("read secrets: line %d of %s: %w", i+1, file, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, "", usagef("read secrets: %s is empty: want a secret such as whsec_ and 32 random bytes in base64", file)
	}
	return keys, secret, nil
}

// printable is a body on one line: as it came where it is JSON, else quoted, so
// that nothing a stranger sends can write to the terminal.
func printable(body []byte) string {
	if json.Valid(body) {
		return oneLine(strings.NewReplacer("\n", " ", "\r", " ").Replace(string(body)))
	}
	return fmt.Sprintf("%.500q", body)
}
