package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"pushwatch/cmd/pushwatch/internal/sqlstore"
	"runtime/debug"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: `Serve runs the daemon: it watches the registered pushes, saves their events in the
database, and delivers them to the notifiers.

The first SIGTERM or SIGINT stops it cleanly, a second one at once; kill -9 loses
nothing either. SIGHUP reloads the settings: changes are applied, and those that need a
restart are named in the log. Exit status: 0 stopped, 1 failed, 2 an error that a
restart does not fix, such as invalid settings.`,
		Example: "  pushwatch serve --config /etc/pushwatch/config.toml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), file, cmd.ErrOrStderr()) },
	}
	configFlag(cmd, &file)
	return cmd
}

func serve(ctx context.Context, file string, errs io.Writer) error {
	// By default a panic exits with status 2, which here means "do not restart". With this
	// it ends by SIGABRT, and systemd restarts the process.
	debug.SetTraceback("crash")
	hangups := make(chan os.Signal, 1) // first of all, because an unhandled SIGHUP ends the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s, doc, err := readSettings(file)
	if err != nil {
		return err
	}
	// Otherwise a write to a closed pipe ends the process, by a signal that systemd counts
	// as a clean exit.
	signal.Ignore(syscall.SIGPIPE)
	lines := newLogWriter(errs)
	log, level := s.Log.logger(lines)
	defer log.Sync()
	warned := logWarnings(log, doc, nil)
	release, commit := build()
	log.Info("starting", zap.String("version", release), zap.String("commit", commit), zap.String("settings", file))
	d, err := newDaemon(ctx, s, log, level)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("stopping before start completed", zap.NamedError("cause", context.Cause(ctx)))
		return nil
	case err != nil:
		return err
	}
	defer d.close()
	d.metrics.MustRegister(lines.metric())
	defer systemd.SdNotify(false, systemd.SdNotifyStopping)
	reloads := make(chan settings)
	go readAgain(ctx, file, log, warned, hangups, reloads)
	go d.watchdog(ctx)
	err = d.run(ctx, func() { systemd.SdNotify(false, systemd.SdNotifyReady) }, reloads)
	if sqlstore.IsDamaged(err) {
		return &usageError{sqlstore.Damage(err)}
	}
	return err
}

// readAgain reads the settings again at each SIGHUP and sends them to reloads. Invalid
// settings are logged and not sent; warned are the warnings that were logged before.
func readAgain(ctx context.Context, file string, log *zap.Logger, warned map[string]bool, hangups <-chan os.Signal, reloads chan<- settings) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		systemd.SdNotify(false, systemd.SdNotifyReloading+"\n"+systemd.SdNotifyMonotonicUsec())
		s, doc, err := readSettings(file)
		if err != nil {
			rejectSettings(log, err)
			systemd.SdNotify(false, systemd.SdNotifyReady)
			continue
		}
		warned = logWarnings(log, doc, warned)
		select {
		case reloads <- s:
		case <-ctx.Done():
		}
	}
}

// logWarnings logs the warnings of the settings that are not in before, and returns all of
// them. They are compared without their position in the file.
func logWarnings(log *zap.Logger, doc *document, before map[string]bool) map[string]bool {
	warned := make(map[string]bool)
	for _, w := range doc.sorted(true) {
		text := w.key + w.text
		if !before[text] {
			log.Warn("settings warning", zap.String("warning", doc.print(w)))
		}
		warned[text] = true
	}
	return warned
}

// watchdog notifies systemd as long as every account is polled. If polling is stuck it
// stops, and systemd restarts the process.
func (d *daemon) watchdog(ctx context.Context) {
	every, err := systemd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	ticks := time.NewTicker(every / 3)
	defer ticks.Stop()
	for {
		if err := d.watcher.Alive(time.Now()); err != nil {
			d.log.Error("polling is stuck", zap.Error(err), zap.String("hint", "systemd restarts this process"))
		} else {
			systemd.SdNotify(false, systemd.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// logger returns a logger that writes to w in the format of the settings. Its level can
// be changed at any time.
func (l logSettings) logger(w io.Writer) (*zap.Logger, zap.AtomicLevel) {
	level, err := zap.ParseAtomicLevel(l.Level)
	if err != nil {
		panic(fmt.Sprintf("log level %q passed the check of the settings", l.Level))
	}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if l.Format == "console" {
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)), level
}
