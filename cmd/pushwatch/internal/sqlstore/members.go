package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

const (
	// heartbeatEvery is the longest time between a replica's heartbeats, after each of
	// which it looks at what the others do. A short TTL has heartbeatsPerTTL of them.
	heartbeatEvery   = 1500 * time.Millisecond
	heartbeatsPerTTL = 6

	// statusEvery is how many heartbeats apart a replica's status is written.
	statusEvery = 3

	// forgetTTLs is after how many TTLs without a heartbeat a member's row is deleted.
	forgetTTLs = 30
)

// clockNow is the database's time. It is the only one that members are judged by.
const clockNow = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`

// Why an ownership ended.
var (
	errRebalanced = errors.New("another replica has fewer accounts")
	errNotNamed   = errors.New("the settings do not name it any more")
	errStopping   = errors.New("this process stops")
)

// ReplicaConfig says what a [Replica] does with its accounts. All is required.
type ReplicaConfig struct {
	Accounts []string // that the settings name
	Log      *zap.Logger

	// Own begins an owner's work for an account. It must call fail when it cannot
	// go on with it. end is called once ctx has ended, for whatever reason, and
	// returns when the work has: polling stops at once, also before that call.
	Own func(ctx context.Context, a *Account, fail context.CancelCauseFunc) (end func())
	// Notice applies what other processes wrote to an account's owner, and reports
	// false where the work for the account has not begun yet.
	Notice func(account string, notes []watcher.Note) bool
	// RefreshNotifiers reads the states of notifiers, which others may have changed.
	// Where it fails it is called again at the next look.
	RefreshNotifiers func(ctx context.Context) error
	// Status returns the status of the accounts that this process owns.
	Status func() []watcher.AccountStatus
}

// A Replica is this process as one of those that share a PostgreSQL database. The
// accounts are shared out among them evenly: each owns a part, and takes over its
// part of what a dead one leaves.
//
// A member lives as long as its heartbeat, a row, is younger than the TTL by the
// database's clock. An account whose owner is dead, or that has none, is taken by a
// statement that finds its epoch unchanged, raises it, and waits for no lock. A
// replica that could not renew its own heartbeat for two thirds of the TTL considers
// itself dead (see [lease]): it stops polling at that moment, before anyone else may
// begin, and ends all its ownerships. All this rests on one assumption: that the
// clocks of the machines run about equally fast, and that of the database does not
// jump ahead by a third of the TTL.
type Replica struct {
	db    *DB
	cfg   ReplicaConfig
	name  string
	log   *zap.Logger
	lease lease
	wake  loop.Signal // look now
	alone atomic.Bool // no other member lives
	count int         // of heartbeats

	expiryTimer *time.Timer // until another member's heartbeat is too old; nil: none yet

	events, notifiers int64 // sums over the tables, when last read

	mu          sync.Mutex
	names       []string              // of the accounts that the settings name
	owned       map[string]*ownership // by account
	moved       bool                  // the owned accounts have changed since the status was written
	unreachable loop.Condition        // heartbeats fail
}

// An ownership is an account that this process owns, or is about to release.
type ownership struct {
	account *Account
	ctx     context.Context // ends with the ownership
	end     context.CancelCauseFunc
}

// Join returns this process as a member, which [Replica.Run] makes it.
func (db *DB) Join(cfg ReplicaConfig) *Replica {
	host, err := os.Hostname()
	if err != nil {
		host = "pushwatch"
	}
	r := &Replica{
		db: db, cfg: cfg, name: host + "-" + strings.ToLower(rand.Text()[:6]), wake: loop.NewSignal(),
		names: cfg.Accounts, owned: make(map[string]*ownership),
	}
	r.log = cfg.Log.With(zap.String("member", r.name))
	r.lease.length = db.ttl * 2 / 3
	return r
}

// Name names this process among the members: after its host, and different at each
// start.
func (r *Replica) Name() string { return r.name }

// every is the time between heartbeats.
func (r *Replica) every() time.Duration { return min(heartbeatEvery, r.db.ttl/heartbeatsPerTTL) }

// SetAccounts replaces the accounts that the settings name.
func (r *Replica) SetAccounts(accounts []string) {
	r.mu.Lock()
	r.names = accounts
	r.mu.Unlock()
	r.wake.Notify()
}

// Owns reports whether this process is sure to own an account at this moment. It
// asks nobody, so it can be called right before each request that depends on it.
func (r *Replica) Owns(account string) bool {
	if !r.lease.valid() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.owned[account]
	return o != nil && o.ctx.Err() == nil
}

// Ready returns an error where this process can own nothing, since it does not
// reach the database.
func (r *Replica) Ready() error {
	if r.lease.valid() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.unreachable.Since()
	if since.IsZero() {
		return errors.New("this process has not joined the other replicas yet")
	}
	return fmt.Errorf("the database has not been reached for %s: nothing is polled from here", time.Since(since).Round(time.Second))
}

// Run is a member until ctx ends. Then it ends the work for its accounts and releases
// them, for others to take at once, and returns nil.
func (r *Replica) Run(ctx context.Context) error {
	var parts, work sync.WaitGroup
	parts.Go(func() { r.sendNotifications(ctx) })
	parts.Go(func() { r.receiveNotifications(ctx) })
	ticker := time.NewTicker(r.every())
	defer ticker.Stop()
	due := true // a heartbeat is
	for ctx.Err() == nil {
		r.turn(ctx, &work, due)
		if !due {
			loop.Sleep(ctx, notificationRest)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			due = true
		case <-r.wake:
			due = false
		}
	}
	r.lease.end(errStopping)
	work.Wait()
	parts.Wait()
	r.leave(context.WithoutCancel(ctx))
	return nil
}

// turn is one heartbeat, where one is due, and one look at what is to do.
func (r *Replica) turn(ctx context.Context, work *sync.WaitGroup, due bool) {
	if due {
		sent := time.Now()
		err := r.heartbeat(ctx)
		if err == nil {
			r.lease.renew(sent)
		}
		if ctx.Err() == nil {
			r.recordHeartbeat(err)
		}
	}
	term := r.lease.current()
	if term == nil {
		return
	}
	looking, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	if err := r.look(looking, work, term); err != nil && ctx.Err() == nil {
		r.log.Warn("look at other replicas", zap.Error(err))
	}
}

// recordHeartbeat records whether a heartbeat succeeded, and logs when that changes.
func (r *Replica) recordHeartbeat(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if err != nil {
		if r.unreachable.Begin(now) {
			r.log.Warn("database unreachable", zap.Error(err), zap.Duration("polling_stops_within", r.lease.length),
				zap.String("hint", "look at PostgreSQL and the network: other replicas take the accounts"))
		}
		return
	}
	if lasted, ended := r.unreachable.End(now); ended {
		r.log.Info("database reachable again", zap.Duration("after", lasted.Round(time.Millisecond)))
	}
}

// heartbeat shows that this process lives, and deletes members that died long ago. When
// the accounts have changed hands, and now and then, it writes its status too.
func (r *Replica) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	r.mu.Lock()
	names := encodeJSON(r.names)
	withStatus := r.moved || r.count%statusEvery == 0
	r.moved = false
	r.mu.Unlock()
	r.count++
	var status any // null: as it was
	if withStatus {
		status = encodeJSON(r.cfg.Status())
	}
	_, err := r.db.heartbeats.ExecContext(ctx, `WITH forgotten AS (DELETE FROM members WHERE beat_at < `+clockNow+` - CAST($1 AS BIGINT))
		INSERT INTO members (name, since, beat_at, accounts, status)
		VALUES (CAST($2 AS TEXT), `+clockNow+`, `+clockNow+`, CAST($3 AS TEXT), CAST($4 AS TEXT))
		ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at, accounts = excluded.accounts,
			status = COALESCE(excluded.status, members.status)`, (forgetTTLs * r.db.ttl).Microseconds(), r.name, names, status)
	if ctx.Err() != context.Canceled {
		r.db.health.record(err)
	}
	if err != nil && withStatus {
		r.mu.Lock()
		r.moved = true // so the next heartbeat writes it
		r.mu.Unlock()
	}
	return err
}

// look reads what other processes wrote, and takes and releases accounts. What it
// takes is owned in term.
func (r *Replica) look(ctx context.Context, work *sync.WaitGroup, term context.Context) error {
	s, err := r.readSnapshot(ctx)
	if err != nil {
		return err
	}
	r.alone.Store(len(s.members) <= 1)
	r.lookAtExpiry(s.expiry)
	if err := r.followOthers(ctx, s); err != nil {
		return err
	}
	r.endLost(s)
	take, give, stale := r.plan(s)
	for _, name := range give {
		r.endOwnership(name, errRebalanced)
	}
	for _, a := range stale {
		if err := r.release(ctx, a.name, a.epoch); err != nil {
			return fmt.Errorf("release account %s: %w", a.name, err)
		}
	}
	if len(take) == 0 {
		return nil
	}
	taken, err := r.take(ctx, take)
	for _, a := range taken {
		r.own(term, a, work)
	}
	return err
}

// lookAtExpiry makes the replica look again when another member's heartbeat is too old:
// what that one owned is taken within the TTL, and not when the next heartbeat is due.
func (r *Replica) lookAtExpiry(expiry time.Duration) {
	if r.expiryTimer != nil {
		r.expiryTimer.Stop()
	}
	if expiry > 0 {
		r.expiryTimer = time.AfterFunc(expiry, r.wake.Notify)
	}
}

// endLost ends the ownership of what others own by now, or the settings do not name.
func (r *Replica) endLost(s *snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range s.accounts {
		if o := r.owned[a.name]; o != nil && (a.epoch > o.account.epoch || a.owner != r.name && a.epoch == o.account.epoch) {
			o.end(watcher.ErrFenced)
		}
	}
	for name, o := range r.owned {
		if !slices.Contains(r.names, name) {
			o.end(errNotNamed)
		}
	}
}

// plan decides what to take and to give up. An account whose row names this process as
// its owner although it does not own it, as after a commit of unknown outcome or a
// release that failed, is free: the process takes it, or else it is stale. What the
// process is about to release is not free yet.
func (r *Replica) plan(s *snapshot) (take []accountSeen, give []string, stale []accountSeen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.members[r.name] = r.names // the row may be a heartbeat old
	seen := make(map[string]bool)
	for i := range s.accounts {
		a := &s.accounts[i]
		seen[a.name] = true
		switch o := r.owned[a.name]; {
		case o == nil && a.owner == r.name:
			a.owner = ""
			stale = append(stale, *a)
		case o != nil:
			a.owner = r.name
		}
	}
	for _, name := range r.names {
		if !seen[name] {
			s.accounts = append(s.accounts, accountSeen{name: name})
		}
	}
	take, give = s.share(r.name)
	stale = slices.DeleteFunc(stale, func(a accountSeen) bool { return slices.Contains(take, a) })
	return take, give, stale
}

// endOwnership ends the ownership of an account, if there is one.
func (r *Replica) endOwnership(name string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.owned[name]; o != nil {
		o.end(cause)
	}
}

// take makes this process the owner of those of some accounts that are as they were
// seen. It waits for no lock: what another is taking, or what its frozen owner keeps
// locked, is left for the next time.
func (r *Replica) take(ctx context.Context, wanted []accountSeen) ([]*Account, error) {
	var fresh, args []any
	for _, a := range wanted {
		if a.shard == 0 {
			fresh = append(fresh, a.name)
		}
		args = append(args, a.name, a.epoch)
	}
	if len(fresh) > 0 {
		// Where another replica gives a shard to another account at the same moment,
		// nothing is inserted, and the next look finds it missing again.
		_, err := r.db.heartbeats.ExecContext(ctx, r.db.bind(`WITH n (name) AS (VALUES `+values(len(fresh), "TEXT")+`)
			INSERT INTO accounts (name, shard, epoch, last_event, last_delivery)
			SELECT n.name, (SELECT COALESCE(MAX(shard), 0) FROM accounts) + ROW_NUMBER() OVER (ORDER BY n.name), 0, 0, 0 FROM n
			ON CONFLICT DO NOTHING`), fresh...)
		if err != nil {
			return nil, fmt.Errorf("create accounts: %w", err)
		}
	}
	var taken []*Account
	err := r.db.each(ctx, r.db.heartbeats, func(scan scanner) error {
		var name string
		var row accountRow
		err := scan(&name, &row.shard, &row.epoch, &row.lastDelivery)
		if err == nil {
			taken = append(taken, r.db.newAccount(name, row))
		}
		return err
	}, `WITH seen (name, epoch) AS (VALUES `+values(len(wanted), "TEXT", "BIGINT")+`),
		free AS (SELECT a.name FROM accounts a JOIN seen ON seen.name = a.name AND seen.epoch = a.epoch FOR UPDATE OF a SKIP LOCKED)
		UPDATE accounts SET owner = ?, epoch = epoch + 1 FROM free WHERE accounts.name = free.name
		RETURNING accounts.name, shard, epoch, last_delivery`, append(args, r.name)...)
	if err != nil {
		return nil, fmt.Errorf("take accounts: %w", err) // what was taken all the same is found by the next look
	}
	return taken, nil
}

// own owns an account until the term ends or another cause ends it, and then releases it.
func (r *Replica) own(term context.Context, a *Account, work *sync.WaitGroup) {
	o := &ownership{account: a}
	o.ctx, o.end = context.WithCancelCause(term)
	r.mu.Lock()
	r.owned[a.name], r.moved = o, true
	r.mu.Unlock()
	r.log.Info("account owned", zap.String("account", a.name), zap.Int64("epoch", a.epoch))
	end := r.cfg.Own(o.ctx, a, o.end)
	work.Go(func() {
		<-o.ctx.Done()
		end()
		cause := context.Cause(o.ctx)
		if !errors.Is(cause, watcher.ErrFenced) {
			if err := r.release(context.Background(), a.name, a.epoch); err != nil {
				r.log.Warn("release account", zap.String("account", a.name), zap.Error(err),
					zap.String("hint", "other replicas take it when this one's heartbeat is too old"))
			}
		}
		r.mu.Lock()
		delete(r.owned, a.name)
		r.moved = true
		r.mu.Unlock()
		if errors.Is(cause, errRebalanced) || errors.Is(cause, errNotNamed) || errors.Is(cause, errStopping) {
			r.log.Info("account released", zap.String("account", a.name), zap.NamedError("cause", cause))
		} else { // it is taken again no sooner than at the next heartbeat
			r.log.Warn("account lost", zap.String("account", a.name), zap.NamedError("cause", cause))
		}
	})
}

// release makes an account free for others to take.
func (r *Replica) release(ctx context.Context, account string, epoch int64) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.heartbeats.ExecContext(ctx, `UPDATE accounts SET owner = NULL WHERE name = $1 AND owner = $2 AND epoch = $3`, account, r.name, epoch)
	r.db.notifyReplicas()
	return err
}

// leave ends the membership.
func (r *Replica) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.heartbeats.ExecContext(ctx, `DELETE FROM members WHERE name = $1`, r.name)
	if err == nil {
		err = r.sendNotification(ctx)
	}
	if err != nil {
		r.log.Warn("leave the other replicas", zap.Error(err), zap.String("hint", "they find out after store.takeover_after"))
	}
}
