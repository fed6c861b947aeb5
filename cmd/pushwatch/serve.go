package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: `Serve runs the daemon: it watches the registered pushes, keeps what happens in
the database, and tells the notifiers.

The first SIGTERM or SIGINT stops it cleanly, a second one at once; kill -9 loses
nothing either. SIGHUP reads the settings again: what changed is put in force, and
what needs a restart is named in the log. Exit status: 0 stopped, 1 failed, 2 a fault that a restart will
not mend, such as one in the settings.`,
		Example: "  pushwatch serve --config /etc/pushwatch/config.toml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), file, cmd.ErrOrStderr()) },
	}
	configFlag(cmd, &file)
	return cmd
}

func serve(ctx context.Context, file string, errs io.Writer) error {
	// A panic ends a Go program with status 2, which stands for "do not restart"
	// here. With this it ends by SIGABRT, and is restarted.
	debug.SetTraceback("crash")
	hangups := make(chan os.Signal, 1) // before anything that waits: by itself SIGHUP would end the process
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s, doc, err := readSettings(file)
	if err != nil {
		return err
	}
	log, level := s.Log.logger(errs)
	defer log.Sync()
	for _, w := range doc.sorted(true) {
		log.Warn("settings", zap.String("warning", doc.print(w)))
	}
	release, commit := build()
	log.Info("starting", zap.String("version", release), zap.String("commit", commit), zap.String("settings", file))
	d, err := newDaemon(ctx, s, log, level)
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("stopping before all was up", zap.NamedError("cause", context.Cause(ctx)))
		return nil
	case err != nil:
		return err
	}
	defer d.close()
	defer systemd.SdNotify(false, systemd.SdNotifyStopping)
	reloads := make(chan settings)
	go readAgain(ctx, file, log, hangups, reloads)
	go d.watchdog(ctx)
	return d.run(ctx, func() { systemd.SdNotify(false, systemd.SdNotifyReady) }, reloads)
}

// readAgain reads the settings again at each hangup. Faulty ones are logged, and
// those in force stay.
func readAgain(ctx context.Context, file string, log *zap.Logger, hangups <-chan os.Signal, reloads chan<- settings) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		systemd.SdNotify(false, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, monotonic()))
		s, doc, err := readSettings(file)
		if doc != nil {
			for _, w := range doc.sorted(true) {
				log.Warn("settings", zap.String("warning", doc.print(w)))
			}
		}
		if err != nil {
			log.Error("the settings are faulty: those in force stay", zap.Error(err))
			systemd.SdNotify(false, systemd.SdNotifyReady)
			continue
		}
		select {
		case reloads <- s:
		case <-ctx.Done():
		}
	}
}

// monotonic is the time of CLOCK_MONOTONIC in microseconds, which systemd wants
// with a reload.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / 1000
}

// watchdog tells systemd that the polling of every account goes on, for as long
// as it does. Where it is stuck, systemd restarts the process.
func (d *daemon) watchdog(ctx context.Context) {
	every, err := systemd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	ticks := time.NewTicker(every / 3)
	defer ticks.Stop()
	for {
		if err := d.watcher.Alive(time.Now()); err != nil {
			d.log.Error("polling is stuck: systemd will restart this process", zap.Error(err))
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

// logger writes to w as the settings say. The level can be changed while it is
// used.
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
