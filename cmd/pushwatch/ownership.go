package main

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/sqlstore"
)

// A stage is a group of goroutines that are stopped together. Stages stop one after the
// other, each before those that it needs.
type stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	fail   context.CancelCauseFunc
	parts  sync.WaitGroup
}

// newStage returns a stage that does not stop with ctx. If a part fails, fail is called
// with its error.
func newStage(ctx context.Context, fail context.CancelCauseFunc) *stage {
	s := &stage{fail: fail}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// start runs a part.
func (s *stage) start(part func(context.Context) error) {
	s.parts.Go(func() {
		if err := part(s.ctx); err != nil {
			s.fail(err)
		}
	})
}

func (s *stage) stop() {
	s.cancel()
	s.parts.Wait()
}

// An ownership is the goroutines of one account that this process owns.
type ownership struct {
	writing, settling, polling *stage
	watched                    bool // false: it is not in the settings, and only its deliveries are sent
}

// begin starts the goroutines of an account that this process owns now. For an account
// that is not in the settings, only its pending deliveries are sent.
func (d *daemon) begin(ctx context.Context, account *sqlstore.Account, fail context.CancelCauseFunc) *ownership {
	name := account.Name()
	feed := d.dispatcher.Feed(name, account)
	o := &ownership{newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail), slices.Contains(d.settings.Load().accountNames(), name)}
	o.writing.start(account.Run)
	o.settling.start(feed.Run)
	if o.watched {
		o.polling.start(func(ctx context.Context) error { return d.watcher.Watch(ctx, name, account) })
	}
	return o
}

// end stops the goroutines of an account, each before those that it needs.
func (o *ownership) end() {
	o.polling.stop()
	o.settling.stop()
	o.writing.stop()
}

// own takes ownership of an account, in a database that no other process uses.
func (d *daemon) own(ctx context.Context, name string, fail context.CancelCauseFunc) error {
	account, err := d.db.Own(ctx, name)
	if err != nil {
		return err
	}
	d.owned[name] = d.begin(ctx, account, fail)
	return nil
}

// ownUnsent takes ownership, until the next reload, of accounts that have pending
// deliveries but are not in the settings. Among replicas no process owns such an account:
// it is only logged.
func (d *daemon) ownUnsent(ctx context.Context, fail context.CancelCauseFunc) error {
	accounts, err := d.db.Unsent(ctx, d.settings.Load().accountNames())
	if err != nil {
		return err
	}
	for _, name := range accounts {
		if d.replica != nil {
			d.log.Warn("deliveries of unknown account pending", zap.String("account", name), zap.String("hint", "restore the account's name in the settings to deliver them"))
			continue
		}
		if err := d.own(ctx, name, fail); err != nil {
			return err
		}
		d.log.Info("delivering for unknown account", zap.String("account", name))
	}
	return nil
}

// disown ends every ownership.
func (d *daemon) disown() {
	var all sync.WaitGroup
	for _, o := range d.owned {
		all.Go(o.end)
	}
	all.Wait()
}

// join makes this process a replica: it shares the database and the accounts with other
// processes. An error of an account ends its ownership, not the process, because another
// replica may succeed.
func (d *daemon) join(s settings) *sqlstore.Replica {
	return d.db.Join(sqlstore.ReplicaConfig{
		Accounts: s.accountNames(), Log: d.log, Status: d.watcher.Status, Notice: d.watcher.Notice, RefreshNotifiers: d.dispatcher.Refresh,
		Own: func(ctx context.Context, account *sqlstore.Account, lose context.CancelCauseFunc) func() {
			o := d.begin(ctx, account, lose)
			context.AfterFunc(ctx, o.polling.cancel) // at once, before o.end is called
			return o.end
		},
	})
}

// maySend returns the function that an account's client calls before each request; nil:
// always. A replica may send only while it is certain to own the account.
func (d *daemon) maySend(account string) func() bool {
	if !d.db.Replicated() {
		return nil
	}
	return func() bool { return d.replica.Owns(account) }
}

// accountNames returns the names of the accounts.
func (s *settings) accountNames() []string {
	var names []string
	for _, a := range s.Accounts {
		names = append(names, a.Name)
	}
	return names
}

// followAccounts takes ownership of accounts that are new in the settings, and releases
// those that were removed.
func (d *daemon) followAccounts(ctx context.Context, fail context.CancelCauseFunc) {
	names := d.settings.Load().accountNames()
	if d.replica != nil {
		d.replica.SetAccounts(names)
		return
	}
	for name, o := range d.owned {
		if o.watched && slices.Contains(names, name) {
			continue
		}
		o.end()
		delete(d.owned, name)
		if o.watched {
			d.log.Info("account no longer watched", zap.String("account", name))
		}
	}
	for _, name := range names {
		if d.owned[name] == nil {
			if err := d.own(ctx, name, fail); err != nil {
				d.log.Error("account not watched", zap.String("account", name), zap.Error(err), hintReload)
			}
		}
	}
}
