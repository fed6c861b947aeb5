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
	// heartbeatEvery is the longest time between a replica's heartbeats. After each it
	// reads what other replicas wrote. With a short TTL it sends heartbeatsPerTTL of them.
	heartbeatEvery   = 1500 * time.Millisecond
	heartbeatsPerTTL = 6

	// statusEvery: a replica's status is written with every third heartbeat.
	statusEvery = 3

	// forgetTTLs is the number of TTLs without a heartbeat after which a member's row is
	// deleted.
	forgetTTLs = 30
)

// clockNow is the database's time, in SQL. Heartbeats are compared by it alone.
const clockNow = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`

// Why an ownership ended.
var (
	errRebalanced = errors.New("another replica has fewer accounts")
	errNotNamed   = errors.New("it was removed from the settings")
	errStopping   = errors.New("this process is stopping")
)

// ReplicaConfig says what a [Replica] does with its accounts. All fields are required.
type ReplicaConfig struct {
	Accounts []string // the configured ones
	Log      *zap.Logger

	// Own starts an owner's work for an account, and must call fail if the work cannot
	// continue. Polling must stop as soon as ctx ends. end is called after that, and
	// returns when all work has stopped.
	Own func(ctx context.Context, a *Account, fail context.CancelCauseFunc) (end func())
	// Notice applies notes from other processes to an account's owner. It returns false
	// if the work for the account has not started yet.
	Notice func(account string, notes []watcher.Note) bool
	// RefreshNotifiers reads the notifiers' states again after another process changed one.
	// If it fails, it is called again after the next heartbeat at the latest.
	RefreshNotifiers func(ctx context.Context) error
	// Status returns the status of the accounts that this process owns.
	Status func() []watcher.AccountStatus
}

// A Replica is this process as one of several members that share a PostgreSQL database.
// The accounts are distributed evenly: each member owns a part, and when one dies the
// others take over its part.
//
// A member is live while its heartbeat, a row, is younger than the TTL by the database's
// clock. A replica takes an account that has no live owner with one statement, which succeeds
// only if the epoch is unchanged, raises it, and skips locked rows. A replica that could not renew
// its own heartbeat for two thirds of the TTL considers itself dead (see [lease]): it
// stops polling at that moment, before any other may begin, and ends all its ownerships.
// This assumes that the machines' clocks run at about the same rate, and that the
// database's clock does not jump ahead by a third of the TTL.
type Replica struct {
	db    *DB
	cfg   ReplicaConfig
	name  string
	log   *zap.Logger
	lease lease
	wake  loop.Signal // look now
	alone atomic.Bool // no other member is live
	count int         // of heartbeats

	expiryTimer *time.Timer // fires when another member's heartbeat expires; nil: not set yet

	events, notifiers int64 // the last sums of the accounts' last events, and of the notifiers' versions

	mu          sync.Mutex
	names       []string              // of the configured accounts
	owned       map[string]*ownership // by account
	moved       bool                  // the owned accounts changed since the status was written
	unreachable loop.Condition        // heartbeats fail
}

// An ownership is an account that this process owns, or is about to release.
type ownership struct {
	account *Account
	ctx     context.Context // ends with the ownership
	end     context.CancelCauseFunc
}

// Join returns a replica for this process. It becomes a member in [Replica.Run].
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

// Name returns this process's name among the members: its host's name with a suffix that
// differs at each start.
func (r *Replica) Name() string { return r.name }

// every returns the time between heartbeats.
func (r *Replica) every() time.Duration { return min(heartbeatEvery, r.db.ttl/heartbeatsPerTTL) }

// SetAccounts replaces the configured accounts.
func (r *Replica) SetAccounts(accounts []string) {
	r.mu.Lock()
	r.names = accounts
	r.mu.Unlock()
	r.wake.Notify()
}

// Owns reports whether this process certainly owns an account at this moment. It makes no
// request, so it can be called right before each poll.
func (r *Replica) Owns(account string) bool {
	if !r.lease.valid() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.owned[account]
	return o != nil && o.ctx.Err() == nil
}

// Ready returns an error while this process can own nothing, because it cannot reach the
// database.
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

// Run is a member until ctx ends. Then it ends the work for its accounts, releases them so
// that others take them at once, and returns nil.
func (r *Replica) Run(ctx context.Context) error {
	var parts, work sync.WaitGroup
	parts.Go(func() { r.sendNotifications(ctx) })
	parts.Go(func() { r.receiveNotifications(ctx) })
	ticker := time.NewTicker(r.every())
	defer ticker.Stop()
	due := true // whether a heartbeat is due
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

// turn sends a heartbeat, if one is due, and looks at the tables once.
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
		r.log.Warn("reading from other replicas failed", zap.Error(err))
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
				zap.String("hint", "check PostgreSQL and the network: other replicas take the accounts"))
		}
		return
	}
	if lasted, ended := r.unreachable.End(now); ended {
		r.log.Info("database reachable again", zap.Duration("after", lasted.Round(time.Millisecond)))
	}
}

// heartbeat writes that this process is live, and deletes members that died long ago. It
// also writes the status if the owned accounts changed, and with every statusEvery-th heartbeat.
func (r *Replica) heartbeat(ctx context.Context) error {
	r.mu.Lock()
	names := encodeJSON(r.names)
	withStatus := r.moved || r.count%statusEvery == 0
	r.moved = false
	r.mu.Unlock()
	r.count++
	var status any // null: unchanged
	if withStatus {
		status = encodeJSON(r.cfg.Status())
	}
	err := r.exec(ctx, `WITH forgotten AS (DELETE FROM members WHERE beat_at < `+clockNow+` - CAST($1 AS BIGINT))
		INSERT INTO members (name, since, beat_at, accounts, status)
		VALUES (CAST($2 AS TEXT), `+clockNow+`, `+clockNow+`, CAST($3 AS TEXT), CAST($4 AS TEXT))
		ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at, accounts = excluded.accounts,
			status = COALESCE(excluded.status, members.status)`, (forgetTTLs * r.db.ttl).Microseconds(), r.name, names, status)
	if ctx.Err() != context.Canceled {
		r.db.health.record(err)
	}
	if err != nil && withStatus {
		r.mu.Lock()
		r.moved = true // the next heartbeat writes it
		r.mu.Unlock()
	}
	return err
}

// exec runs a statement, with "$1" as its first parameter, for a third of the TTL at most.
func (r *Replica) exec(ctx context.Context, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.heartbeats.ExecContext(ctx, query, args...)
	return err
}

// look reads what other processes wrote, and takes and releases accounts. The accounts
// that it takes are owned until term ends.
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
	take, stale := r.plan(s)
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

// lookAtExpiry schedules a look for the moment when another member's heartbeat expires, so
// that its accounts are taken without waiting for this replica's next heartbeat.
func (r *Replica) lookAtExpiry(expiry time.Duration) {
	if r.expiryTimer != nil {
		r.expiryTimer.Stop()
	}
	if expiry > 0 {
		r.expiryTimer = time.AfterFunc(expiry, r.wake.Notify)
	}
}

// plan ends the ownership of accounts that others own now, that were removed from the
// settings, or that other members should have, and decides which accounts to take. An account
// whose row names this process as its owner although it does not own it (after a commit of
// unknown outcome, or a failed release) is free: the process takes it, or it is stale and must
// be released. An account that the process is about to release is not free yet.
func (r *Replica) plan(s *snapshot) (take, stale []accountSeen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.members[r.name] = r.names // the row may be outdated by a heartbeat
	seen := make(map[string]bool)
	for i := range s.accounts {
		a := &s.accounts[i]
		seen[a.name] = true
		o := r.owned[a.name]
		if o == nil {
			if a.owner == r.name {
				a.owner = ""
				stale = append(stale, *a)
			}
			continue
		}
		if a.epoch > o.account.epoch || a.owner != r.name && a.epoch == o.account.epoch {
			o.end(watcher.ErrFenced)
		}
		a.owner = r.name
	}
	for name, o := range r.owned {
		if !slices.Contains(r.names, name) {
			o.end(errNotNamed)
		}
	}
	for _, name := range r.names {
		if !seen[name] {
			s.accounts = append(s.accounts, accountSeen{name: name})
		}
	}
	take, give := s.share(r.name)
	for _, name := range give {
		if o := r.owned[name]; o != nil {
			o.end(errRebalanced)
		}
	}
	return take, slices.DeleteFunc(stale, func(a accountSeen) bool { return slices.Contains(take, a) })
}

// take makes this process the owner of the wanted accounts that are unchanged since they
// were read. It waits for no lock: an account that another process is taking, or whose
// frozen owner holds the lock, is left for the next look.
func (r *Replica) take(ctx context.Context, wanted []accountSeen) ([]*Account, error) {
	var fresh, args []any
	for _, a := range wanted {
		if a.shard == 0 {
			fresh = append(fresh, a.name)
		}
		args = append(args, a.name, a.epoch)
	}
	if len(fresh) > 0 {
		// If another replica gives the shard to another account at the same moment,
		// nothing is inserted, and the next look tries again.
		_, err := r.db.heartbeats.ExecContext(ctx, r.db.bind(`WITH n (name) AS (VALUES `+values(len(fresh), "TEXT")+`)
			INSERT INTO accounts (name, shard, epoch, last_event, last_delivery)
			SELECT n.name, (SELECT COALESCE(MAX(shard), 0) FROM accounts) + ROW_NUMBER() OVER (ORDER BY n.name), 0, 0, 0 FROM n
			ON CONFLICT DO NOTHING`), fresh...)
		if err != nil {
			return nil, fmt.Errorf("create accounts: %w", err)
		}
	}
	var taken []*Account
	err := pool{r.db, r.db.heartbeats}.each(ctx, func(scan scanner) error {
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
		return nil, fmt.Errorf("take accounts: %w", err) // if they were taken nevertheless, the next look finds them
	}
	return taken, nil
}

// own starts the work for an account until the term ends or another cause ends it, and
// then releases the account.
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
				r.log.Warn("releasing account failed", zap.String("account", a.name), zap.Error(err),
					zap.String("hint", "other replicas take it when this one's heartbeat expires"))
			}
		}
		r.mu.Lock()
		delete(r.owned, a.name)
		r.moved = true
		r.mu.Unlock()
		if errors.Is(cause, errRebalanced) || errors.Is(cause, errNotNamed) || errors.Is(cause, errStopping) {
			r.log.Info("account released", zap.String("account", a.name), zap.NamedError("cause", cause))
		} else { // it can be taken again at the next look
			r.log.Warn("account lost", zap.String("account", a.name), zap.NamedError("cause", cause))
		}
	})
}

// release makes an account free, for others to take.
func (r *Replica) release(ctx context.Context, account string, epoch int64) error {
	err := r.exec(ctx, `UPDATE accounts SET owner = NULL WHERE name = $1 AND owner = $2 AND epoch = $3`, account, r.name, epoch)
	r.db.notifyReplicas()
	return err
}

// leave ends the membership.
func (r *Replica) leave(ctx context.Context) {
	err := r.exec(ctx, `DELETE FROM members WHERE name = $1`, r.name)
	if err == nil {
		err = r.sendNotification(ctx)
	}
	if err != nil {
		r.log.Warn("leaving other replicas failed", zap.Error(err), zap.String("hint", "they notice after store.takeover_after"))
	}
}
