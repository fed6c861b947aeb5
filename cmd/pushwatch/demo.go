package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pushwatch/cmd/pushwatch/internal/api"
	"pushwatch/notify/notifytest"
	"pushwatch/notify/signing"
	"pushwatch/watcher"
	"pushwatch/watcher/setting"
	"pushwatch/watcher/tiwsim"
)

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Try pushwatch in one process, without an account", Args: cobra.NoArgs,
		Long: `Demo runs everything in one process, on this machine only: a simulated TIW service
with pushes that start, have exceptions, fail and stop; the daemon that watches them,
with a temporary database; and a receiver that verifies each webhook.

It prints what happens at TIW and each webhook that the receiver gets, until Ctrl-C or
until the time of --for is over.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.listenChosen = cmd.Flags().Changed("listen")
			return demo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8465", "the `ADDRESS` of the daemon's API")
	cmd.Flags().Float64Var(&o.speed, "speed", 1, "the `FACTOR`, 0.1 to 20, by which the pushes run faster than in real life")
	cmd.Flags().DurationVar(&o.length, "for", 0, "stop after this `DURATION`, such as 30s; 0: on Ctrl-C")
	return cmd
}

type demoOptions struct {
	listen       string
	listenChosen bool // by the user
	speed        float64
	length       time.Duration
}

// check returns the first fault of the options.
func (o *demoOptions) check() error {
	if math.IsNaN(o.speed) || o.speed < 0.1 || o.speed > 20 {
		return usagef("--speed %v: want 0.1 to 20", o.speed)
	}
	if o.length < 0 {
		return usagef("--for %v: want a duration such as 30s, or 0", o.length)
	}
	host, err := hostOf(o.listen)
	if err != nil || !isLoopback(host) { // without tokens, others could change what is watched
		return usagef(`--listen %s: the demo is for this machine only: want a loopback address and a port, such as "127.0.0.1:8465"`, o.listen)
	}
	return nil
}

// demo runs the simulated TIW, the receiver, and the daemon between them.
func demo(ctx context.Context, o demoOptions, out, errs io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "pushwatch-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)

	scenario := tiwsim.Demo(o.speed)
	tiw, err := tiwsim.New(scenario)
	if err != nil {
		return err
	}
	tiwAddress, stopTIW, err := serveAnywhere(ctx, tiw)
	if err != nil {
		return err
	}
	defer stopTIW()
	secret := signing.GenerateSecret()
	key, err := signing.ParseKey(secret)
	if err != nil {
		return err
	}
	story := &story{out: out, begin: time.Now(), truth: tiw.Truth, color: isTerminal(out), events: make(map[string]int)}
	receiver := notifytest.New(notifytest.Config{Keys: []signing.Key{key}, Keep: 1, OnDelivery: story.received})
	receiverAddress, stopReceiver, err := serveAnywhere(ctx, receiver)
	if err != nil {
		return err
	}
	defer stopReceiver()

	s := o.settings(folder)
	for _, a := range scenario.Accounts {
		s.Accounts = append(s.Accounts, simAccount(a, "http://"+tiwAddress))
	}
	s.Notifiers = append(s.Notifiers, localNotifier("classroom", "http://"+receiverAddress, secret))
	d, err := o.newDaemon(ctx, s, errs)
	if err != nil {
		return err
	}
	defer d.close()

	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.length)
		defer cancel()
	}
	url := urlOf(d.listener)
	story.introduce(tiwAddress, url, receiverAddress)
	c := &client{server: url, base: url, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, cmd: new(cobra.Command)}
	var beside sync.WaitGroup
	defer beside.Wait()
	err = d.run(ctx, func() { beside.Go(func() { registerPushes(ctx, c, tiw, story) }) }, nil)
	beside.Wait()
	story.conclude(tiw.Stats())
	return err
}

// settings returns the daemon's settings, without accounts and notifiers, with the times
// shortened by the demo's speed.
func (o *demoOptions) settings(folder string) settings {
	scaled := func(d time.Duration) setting.Duration { return setting.Duration(float64(d) / o.speed) }
	s := defaults()
	s.Instance = "demo"
	s.HTTP.Listen = o.listen
	s.Store.URL = storeURL{Secret: setting.Plain("sqlite:" + filepath.Join(folder, "demo.db"))}
	s.Log = logSettings{Level: "error", Format: "console"}
	s.Watch.StalledAfter, s.Watch.NotFoundGrace = scaled(12*time.Second), scaled(5*time.Second)
	s.Watch.MinInterval = min(s.Watch.MinInterval, scaled(time.Second))
	return s
}

// newDaemon calls [newDaemon], and uses a free address if the default one is taken.
func (o *demoOptions) newDaemon(ctx context.Context, s settings, errs io.Writer) (*daemon, error) {
	log, level := s.Log.logger(errs)
	d, err := newDaemon(ctx, s, log, level)
	if err != nil && !o.listenChosen {
		s.HTTP.Listen = "127.0.0.1:0"
		d, err = newDaemon(ctx, s, log, level)
	}
	return d, err
}

// simAccount returns the settings of an account of the simulated TIW.
func simAccount(a tiwsim.Account, endpoint string) accountSettings {
	account := accountSettings{Name: a.Name, SecretID: setting.Plain(a.SecretID), SecretKey: setting.Plain(a.SecretKey), SDKAppIDs: a.SDKAppIDs}
	account.setDefaults()
	account.Endpoint = endpoint
	return account
}

// localNotifier returns the settings of a webhook receiver on this machine that gets all
// events.
func localNotifier(name, url, secret string) notifierSettings {
	notifier := notifierSettings{
		Name: name, Type: "webhook", URL: setting.Plain(url), Secrets: []setting.Secret{setting.Plain(secret)},
		Events: []string{"*"}, AllowCIDRs: []string{"127.0.0.1/32"},
	}
	notifier.setDefaults()
	return notifier
}

// serveAnywhere serves at a free local address.
func serveAnywhere(ctx context.Context, h http.Handler) (address string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), serveBeside(ctx, l, h).Close, nil
}

// registerPushes plays the classroom backend: it registers a push that does not exist, and
// then each push that TIW prepares, until ctx ends.
func registerPushes(ctx context.Context, c *client, tiw *tiwsim.Service, story *story) {
	var requests sync.WaitGroup
	defer requests.Wait()
	register := func(app int64, task string) {
		requests.Go(func() {
			body := api.Registration{SDKAppID: app, TaskID: task, Labels: map[string]string{"class": strings.TrimPrefix(task, "demo-")}}
			if _, _, err := c.call(ctx, http.MethodPost, "/v1/tasks", body); err != nil && ctx.Err() == nil {
				story.line(red, "backend", task, "%v", err)
			}
		})
	}
	register(tiwsim.DemoSDKAppID, tiwsim.DemoUnknownTaskID)
	tiw.Follow(ctx, func(c tiwsim.Change) {
		story.happened(c)
		if c.What == tiwsim.Prepared {
			register(c.SDKAppID, c.TaskID)
		}
	})
}

// A story prints a line for each change at TIW and each webhook at the receiver.
type story struct {
	out   io.Writer
	begin time.Time
	truth func(sdkAppID int64, taskID string) []tiwsim.Change
	color bool

	mu       sync.Mutex
	events   map[string]int // verified, by type
	refused  int
	slowest  time.Duration
	slowTask string
}

func (s *story) introduce(tiw, api, receiver string) {
	fmt.Fprintf(s.out, `pushwatch demo: all runs in this process, and nothing leaves this machine.

  TIW        %-22s  simulated: strict, 20 requests a second
  pushwatch  %-22s  watches it: open this in a browser
  receiver   %-22s  the backend: verifies each webhook

%8s  %-9s %-14s what happens
`, "http://"+tiw, api, "http://"+receiver, "seconds", "where", "push")
}

// line prints one line. The color is an ANSI code.
func (s *story) line(color, where, task, format string, args ...any) {
	text := fmt.Sprintf("%8.1f  %-9s %-14s %s", time.Since(s.begin).Seconds(), where, strings.TrimPrefix(task, "demo-"), fmt.Sprintf(format, args...))
	if s.color && color != "" {
		text = "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, text)
}

const (
	faint  = "2"
	green  = "32"
	yellow = "33"
	red    = "31"
)

func (s *story) happened(c tiwsim.Change) {
	if c.What != tiwsim.Forgotten {
		s.line(faint, "TIW", c.TaskID, "%s", happened(c))
	}
}

// received prints a webhook and how long after its cause it arrived.
func (s *story) received(d notifytest.Delivery) {
	if !d.Verified {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
		s.line(red, "receiver", d.Event.TaskID, "%s NOT VERIFIED: %v", d.Event.Type, d.Err)
		return
	}
	late, known := s.late(d)
	s.mu.Lock()
	s.events[d.Event.Type]++
	if known && late > s.slowest {
		s.slowest, s.slowTask = late, d.Event.TaskID
	}
	s.mu.Unlock()
	color := green
	switch watcher.EventType(d.Event.Type) {
	case watcher.PushFailed, watcher.PushNotFound:
		color = red
	case watcher.PushException, watcher.PushStalled, watcher.PushChanged, watcher.PushBackupChanged:
		color = yellow
	}
	note := ""
	if known {
		note = fmt.Sprintf("  %.1f s later", late.Seconds())
	}
	s.line(color, "receiver", d.Event.TaskID, "%-16s verified%s", d.Event.Type, note)
}

// causes are the changes at TIW that an event can report.
var causes = map[watcher.EventType][]tiwsim.What{
	watcher.PushPreparing:     {tiwsim.Prepared},
	watcher.PushStarted:       {tiwsim.Started},
	watcher.PushException:     {tiwsim.Excepted},
	watcher.PushBackupChanged: {tiwsim.Backed},
	watcher.PushChanged:       {tiwsim.Restated},
	watcher.PushStopped:       {tiwsim.Stopped},
	watcher.PushFailed:        {tiwsim.Stopped, tiwsim.Failed},
}

// late returns how long after its cause a webhook arrived.
func (s *story) late(d notifytest.Delivery) (time.Duration, bool) {
	all := s.truth(d.Event.SDKAppID, d.Event.TaskID)
	for _, c := range slices.Backward(all) {
		if !c.At.After(d.At) && slices.Contains(causes[watcher.EventType(d.Event.Type)], c.What) {
			return d.At.Sub(c.At), true
		}
	}
	return 0, false
}

// conclude prints a summary.
func (s *story) conclude(stats map[string]tiwsim.AccountStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, n := range s.events {
		total += n
	}
	fmt.Fprintf(s.out, "\n%d webhooks verified, %d refused", total, s.refused)
	if s.slowTask != "" {
		fmt.Fprintf(s.out, "; the slowest came %.1f s after its change", s.slowest.Seconds())
	}
	fmt.Fprintln(s.out)
	for _, name := range slices.Sorted(maps.Keys(s.events)) {
		fmt.Fprintf(s.out, "%6d  %s\n", s.events[name], name)
	}
	for _, a := range stats {
		if a.Requests == 0 {
			continue
		}
		fmt.Fprintf(s.out, "TIW saw %d requests, at most %d in any second of the 20 it allows.\n", a.Requests, a.MaxInSecond)
	}
}

// isTerminal reports whether out is a terminal that wants colors.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
