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
)

const (
	// beatEvery is how often a replica shows that it lives and looks at what the
	// others do, at most; within a short TTL it does so beatsPerTTL times.
	beatEvery   = 1500 * time.Millisecond
	beatsPerTTL = 6

	// statusEvery is how many heartbeats apart a replica's status is written.
	statusEvery = 3

	// burialTTLs is after how many TTLs a dead member is forgotten.
	burialTTLs = 30
)

// clockNow is the database's time. It is the only one that members are judged by.
const clockNow = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`

// Why an account is not owned any more.
var (
	errGivenBack = errors.New("another replica has fewer accounts")
	errNotNamed  = errors.New("the settings do not name it any more")
	errStopping  = errors.New("this process stops")
)

// ReplicaConfig says what a [Replica] does with its accounts. All is required.
type ReplicaConfig struct {
	Accounts []string // that the settings name
	Log      *zap.Logger

	// Own begins an owner's work for an account. It must call lose when it cannot
	// go on with it. end is called once ctx has ended, for whatever reason, and
	// returns when the work has: polling stops at once, also before that call.
	Own func(ctx context.Context, a *Account, lose context.CancelCauseFunc) (end func())
	// Notice takes in what other processes wrote to an account's owner, and reports
	// false where the work for the account has not got that far.
	Notice func(account string, notes []watcher.Note) bool
	// Standings reads the standings of notifiers, which others may have changed. Where
	// it fails it is called again at the next look.
	Standings func(ctx context.Context) error
	// Status returns the status of the accounts that this process owns.
	Status func() []watcher.AccountStatus
}

// A Replica is this process as one of those that share a PostgreSQL database. The
// accounts are shared out among them evenly: each owns a part, and takes over its
// part of what a dead one leaves.
//
// A member lives as long as its heartbeat, a row, is younger than the TTL by the
// database's clock. An account whose owner is dead, or that has none, is taken by a
// statement that finds its epoch as it was when that was seen, raises it, and waits
// for no lock. A replica that could not renew its own heartbeat for two thirds of
// the TTL takes itself for dead (see [lease]): it stops polling at that moment,
// before anyone else may begin, and lets go of everything. All this rests on one
// assumption: that the clocks of the machines run about equally fast, and that of
// the database does not jump ahead by a third of the TTL.
type Replica struct {
	db    *DB
	cfg   ReplicaConfig
	name  string
	log   *zap.Logger
	lease lease
	woken chan struct{} // look now; holds at most one
	alone atomic.Bool   // no other member lives
	beats int
	vigil *time.Timer // until another member is dead, unless it shows that it lives; nil: none yet

	events, standings int64 // as they were when last seen

	mu    sync.Mutex
	names []string         // of the accounts that the settings name
	holds map[string]*hold // by account
	moved bool             // those that it owns have changed since its status was written
	since time.Time        // since when no heartbeat succeeds; zero: the last one did
}

// A hold is an account that this process owns, or is about to let go.
type hold struct {
	account *Account
	ctx     context.Context // ends with the ownership
	lose    context.CancelCauseFunc
}

// Join returns this process as a member, which [Replica.Run] makes it.
func (db *DB) Join(cfg ReplicaConfig) *Replica {
	host, err := os.Hostname()
	if err != nil {
		host = "pushwatch"
	}
	r := &Replica{
		db: db, cfg: cfg, name: host + "-" + strings.ToLower(rand.Text()[:6]), woken: make(chan struct{}, 1),
		names: cfg.Accounts, holds: make(map[string]*hold),
	}
	r.log = cfg.Log.With(zap.String("member", r.name))
	r.lease.length = db.ttl * 2 / 3
	return r
}

// Name names this process among the members: after its host, and different at each
// start.
func (r *Replica) Name() string { return r.name }

// every is the time between heartbeats.
func (r *Replica) every() time.Duration { return min(beatEvery, r.db.ttl/beatsPerTTL) }

// Follow has the replica go by settings that name other accounts.
func (r *Replica) Follow(accounts []string) {
	r.mu.Lock()
	r.names = accounts
	r.mu.Unlock()
	r.wake()
}

// Holds reports whether this process is sure to own an account at this moment. It
// asks nobody, so it can be called right before each request that depends on it.
func (r *Replica) Holds(account string) bool {
	if !r.lease.holds() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.holds[account]
	return h != nil && h.ctx.Err() == nil
}

// Ready returns an error where this process can own nothing, since it does not
// reach the database.
func (r *Replica) Ready() error {
	if r.lease.holds() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		return errors.New("this process has not joined the other replicas yet")
	}
	return fmt.Errorf("the database has not been reached for %s: nothing is polled from here", time.Since(r.since).Round(time.Second))
}

// wake has the replica look at the database soon.
func (r *Replica) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// Run is a member until ctx ends. Then it ends the work for its accounts and gives
// them back, for others to take at once, and returns nil.
func (r *Replica) Run(ctx context.Context) error {
	var parts, work sync.WaitGroup
	parts.Go(func() { r.giveHints(ctx) })
	parts.Go(func() { r.followHints(ctx) })
	ticker := time.NewTicker(r.every())
	defer ticker.Stop()
	beat := true
	for ctx.Err() == nil {
		r.turn(ctx, &work, beat)
		if !beat {
			pause(ctx, hintRest)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			beat = true
		case <-r.woken:
			beat = false
		}
	}
	r.lease.over(errStopping)
	work.Wait()
	parts.Wait()
	r.leave(context.WithoutCancel(ctx))
	return nil
}

// turn is one heartbeat, where it is time for one, and one look at what is to do.
func (r *Replica) turn(ctx context.Context, work *sync.WaitGroup, beat bool) {
	if beat {
		sent := time.Now()
		err := r.beat(ctx)
		if err == nil {
			r.lease.renew(sent)
		}
		if ctx.Err() == nil {
			r.note(err)
		}
	}
	term := r.lease.current()
	if term == nil {
		return
	}
	looking, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	if err := r.look(looking, work, term); err != nil && ctx.Err() == nil {
		r.log.Warn("look at what the other replicas do", zap.Error(err))
	}
}

// note notes whether a heartbeat succeeded, and logs when that changes.
func (r *Replica) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && r.since.IsZero():
		r.since = time.Now()
		r.log.Warn("the database is not reached: without it polling stops soon", zap.Duration("within", r.lease.length), zap.Error(err))
	case err == nil && !r.since.IsZero():
		r.log.Info("the database is reached again", zap.Duration("after", time.Since(r.since).Round(time.Millisecond)))
		r.since = time.Time{}
	}
}

// beat shows that this process lives, and buries who is long dead. When the accounts
// have changed hands, and now and then, it writes its status too.
func (r *Replica) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	r.mu.Lock()
	names := encodeJSON(r.names)
	due := r.moved || r.beats%statusEvery == 0
	r.moved = false
	r.mu.Unlock()
	r.beats++
	var status any // null: as it was
	if due {
		status = encodeJSON(r.cfg.Status())
	}
	_, err := r.db.beats.ExecContext(ctx, `WITH buried AS (DELETE FROM members WHERE beat_at < `+clockNow+` - CAST($1 AS BIGINT))
		INSERT INTO members (name, since, beat_at, accounts, status)
		VALUES (CAST($2 AS TEXT), `+clockNow+`, `+clockNow+`, CAST($3 AS TEXT), CAST($4 AS TEXT))
		ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at, accounts = excluded.accounts,
			status = COALESCE(excluded.status, members.status)`, (burialTTLs * r.db.ttl).Microseconds(), r.name, names, status)
	if err != nil && due {
		r.mu.Lock()
		r.moved = true // so the next heartbeat writes it
		r.mu.Unlock()
	}
	return err
}

// look takes in what other processes did, and takes and gives back accounts. What
// it takes is owned in term.
func (r *Replica) look(ctx context.Context, work *sync.WaitGroup, term context.Context) error {
	c, err := r.census(ctx)
	if err != nil {
		return err
	}
	r.alone.Store(len(c.members) <= 1)
	r.keepVigil(c.expiry)
	if err := r.followOthers(ctx, c); err != nil {
		return err
	}
	r.dropLost(c)
	take, give, astray := r.plan(c)
	for _, name := range give {
		r.lose(name, errGivenBack)
	}
	for _, a := range astray {
		if err := r.release(ctx, a.name, a.epoch); err != nil {
			return fmt.Errorf("give back account %s: %w", a.name, err)
		}
	}
	if len(take) == 0 {
		return nil
	}
	taken, err := r.take(ctx, take)
	for _, a := range taken {
		r.hold(term, a, work)
	}
	return err
}

// keepVigil has the replica look again when another member would be dead: what that
// one owned is taken within the TTL, and not when the next heartbeat happens to be due.
func (r *Replica) keepVigil(expiry time.Duration) {
	if r.vigil != nil {
		r.vigil.Stop()
	}
	if expiry > 0 {
		r.vigil = time.AfterFunc(expiry, r.wake)
	}
}

// dropLost lets go of what others own by now, or the settings do not name.
func (r *Replica) dropLost(c *census) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range c.accounts {
		if h := r.holds[a.name]; h != nil && (a.epoch > h.account.epoch || a.owner != r.name && a.epoch == h.account.epoch) {
			h.lose(watcher.ErrFenced)
		}
	}
	for name, h := range r.holds {
		if !slices.Contains(r.names, name) {
			h.lose(errNotNamed)
		}
	}
}

// plan decides what to take and to give back. What stands as owned by this process
// although it does not hold it, as after a taking of unknown outcome, or when it
// could not be given back, is free: it is taken, or else astray. What the process is
// about to let go is not free yet.
func (r *Replica) plan(c *census) (take []accountSeen, give []string, astray []accountSeen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.members[r.name] = r.names // what the database has of them may be a heartbeat old
	seen := make(map[string]bool)
	for i := range c.accounts {
		a := &c.accounts[i]
		seen[a.name] = true
		switch h := r.holds[a.name]; {
		case h == nil && a.owner == r.name:
			a.owner = ""
			astray = append(astray, *a)
		case h != nil:
			a.owner = r.name
		}
	}
	for _, name := range r.names {
		if !seen[name] {
			c.accounts = append(c.accounts, accountSeen{name: name})
		}
	}
	take, give = c.share(r.name)
	astray = slices.DeleteFunc(astray, func(a accountSeen) bool { return slices.Contains(take, a) })
	return take, give, astray
}

// lose ends the ownership of an account, if there is one.
func (r *Replica) lose(name string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.holds[name]; h != nil {
		h.lose(cause)
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
		_, err := r.db.beats.ExecContext(ctx, r.db.bind(`WITH n (name) AS (VALUES `+values(len(fresh), "TEXT")+`)
			INSERT INTO accounts (name, shard, epoch, last_event, last_delivery)
			SELECT n.name, (SELECT COALESCE(MAX(shard), 0) FROM accounts) + ROW_NUMBER() OVER (ORDER BY n.name), 0, 0, 0 FROM n
			ON CONFLICT DO NOTHING`), fresh...)
		if err != nil {
			return nil, fmt.Errorf("create accounts: %w", err)
		}
	}
	var taken []*Account
	err := r.db.each(ctx, r.db.beats, func(scan scanner) error {
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

// hold owns an account until its term ends or it is lost, and then lets go of it.
func (r *Replica) hold(term context.Context, a *Account, work *sync.WaitGroup) {
	h := &hold{account: a}
	h.ctx, h.lose = context.WithCancelCause(term)
	r.mu.Lock()
	r.holds[a.name], r.moved = h, true
	r.mu.Unlock()
	r.log.Info("account is owned here", zap.String("account", a.name), zap.Int64("epoch", a.epoch))
	end := r.cfg.Own(h.ctx, a, h.lose)
	work.Go(func() {
		<-h.ctx.Done()
		end()
		cause := context.Cause(h.ctx)
		if !errors.Is(cause, watcher.ErrFenced) {
			if err := r.release(context.Background(), a.name, a.epoch); err != nil {
				r.log.Warn("give account back: others take it later", zap.String("account", a.name), zap.Error(err))
			}
		}
		r.mu.Lock()
		delete(r.holds, a.name)
		r.moved = true
		r.mu.Unlock()
		if errors.Is(cause, errGivenBack) || errors.Is(cause, errNotNamed) || errors.Is(cause, errStopping) {
			r.log.Info("account is given back", zap.String("account", a.name), zap.NamedError("cause", cause))
		} else { // it is taken again no sooner than at the next heartbeat
			r.log.Warn("account is lost", zap.String("account", a.name), zap.NamedError("cause", cause))
		}
	})
}

// release gives an account back for others to take.
func (r *Replica) release(ctx context.Context, account string, epoch int64) error {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.beats.ExecContext(ctx, `UPDATE accounts SET owner = NULL WHERE name = $1 AND owner = $2 AND epoch = $3`, account, r.name, epoch)
	r.db.hint()
	return err
}

// leave ends the membership.
func (r *Replica) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.db.ttl/3)
	defer cancel()
	_, err := r.db.beats.ExecContext(ctx, `DELETE FROM members WHERE name = $1`, r.name)
	if err == nil {
		err = r.notify(ctx)
	}
	if err != nil {
		r.log.Warn("leave the other replicas: they find out later", zap.Error(err))
	}
}
