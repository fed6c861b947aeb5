package main

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"

	"pushwatch/watcher/sqlstore"
)

// A stage is a part of the daemon that runs until it is stopped. The stages stop
// one after the other, so that each still has what it needs below it.
type stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	fail   context.CancelCauseFunc
	parts  sync.WaitGroup
}

// newStage returns a stage that does not stop with ctx. fail is told of the first
// error of its parts.
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

// An ownership is what runs for one account while this process owns it.
type ownership struct {
	writing, settling, polling *stage
	watched                    bool // else only deliveries are sent
}

// begin runs for an account what its owner does. One that the settings do not name has
// only its deliveries sent.
func (d *daemon) begin(ctx context.Context, account *sqlstore.Account, fail context.CancelCauseFunc) *ownership {
	name := account.Name()
	feed := d.dispatcher.Feed(name, account)
	o := &ownership{newStage(ctx, fail), newStage(ctx, fail), newStage(ctx, fail), slices.Contains(d.accountNames(), name)}
	o.writing.start(account.Run)
	o.settling.start(feed.Run)
	if o.watched {
		o.polling.start(func(ctx context.Context) error { return d.watcher.Watch(ctx, name, account) })
	}
	return o
}

// end stops what runs for an account, each part while it has what it needs.
func (o *ownership) end() {
	o.polling.stop()
	o.settling.stop()
	o.writing.stop()
}

// own takes over an account of a database that no other process uses.
func (d *daemon) own(ctx context.Context, name string, fail context.CancelCauseFunc) error {
	account, err := d.db.Own(ctx, name)
	if err != nil {
		return err
	}
	d.owned[name] = d.begin(ctx, account, fail)
	return nil
}

// ownUnsent takes over the accounts that nobody's settings name and that have deliveries
// waiting, until the settings are read again. Among replicas nobody owns such an account,
// so there the log tells of it.
func (d *daemon) ownUnsent(ctx context.Context, s settings, fail context.CancelCauseFunc) error {
	accounts, err := d.db.Unsent(ctx, s.accountNames())
	if err != nil {
		return err
	}
	for _, name := range accounts {
		if d.replica != nil {
			d.log.Warn("deliveries wait of an account that the settings do not name: they go on once it has its old name again", zap.String("account", name))
			continue
		}
		if err := d.own(ctx, name, fail); err != nil {
			return err
		}
		d.log.Info("the settings do not name an account: what waits of its deliveries is sent", zap.String("account", name))
	}
	return nil
}

// disown ends what runs for every account.
func (d *daemon) disown() {
	var all sync.WaitGroup
	for _, o := range d.owned {
		all.Go(o.end)
	}
	all.Wait()
}

// join makes this process one of those that share the database, and the accounts.
// What goes wrong with an account ends its ownership and not the process: another
// may do better.
func (d *daemon) join(s settings) *sqlstore.Replica {
	return d.db.Join(sqlstore.ReplicaConfig{
		Accounts: s.accountNames(), Log: d.log, Status: d.watcher.Status, Notice: d.watcher.Notice, Standings: d.dispatcher.Refresh,
		Own: func(ctx context.Context, account *sqlstore.Account, lose context.CancelCauseFunc) func() {
			o := d.begin(ctx, account, lose)
			context.AfterFunc(ctx, o.polling.cancel) // at once, whatever else is waited for
			return o.end
		},
	})
}

// maySend is what the client of an account asks before it sends; nil: it may always
// send. A replica may while it surely owns the account.
func (d *daemon) maySend(account string) func() bool {
	if !d.db.Replicated() {
		return nil
	}
	return func() bool { return d.replica.Holds(account) }
}

// accountNames are the names of the accounts in force.
func (d *daemon) accountNames() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settings.accountNames()
}

// accountNames are the names of the accounts.
func (s *settings) accountNames() []string {
	var names []string
	for _, a := range s.Accounts {
		names = append(names, a.Name)
	}
	return names
}

// followAccounts takes over the accounts that are new in the settings, and lets go
// of those that are gone.
func (d *daemon) followAccounts(ctx context.Context, after settings, fail context.CancelCauseFunc) {
	if d.replica != nil {
		d.replica.Follow(after.accountNames())
		return
	}
	names := after.accountNames()
	for name, o := range d.owned {
		if o.watched && slices.Contains(names, name) {
			continue
		}
		o.end()
		delete(d.owned, name)
		if o.watched {
			d.log.Info("account is not watched any more", zap.String("account", name))
		}
	}
	for _, name := range names {
		if d.owned[name] == nil {
			if err := d.own(ctx, name, fail); err != nil {
				d.log.Error("account is not watched: read the settings again to try again", zap.String("account", name), zap.Error(err))
			}
		}
	}
}
