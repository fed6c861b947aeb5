package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"pushwatch/notify"
	"pushwatch/watcher"
	"pushwatch/watcher/loop"
)

var (
	_ watcher.Store = (*Account)(nil)
	_ notify.Outbox = (*Account)(nil)
)

// ErrClosed means that [Account.Run] has returned, and nothing more is written.
var ErrClosed = errors.New("the account's writer has ended")

// queueLength is how many writes are queued before callers block.
const queueLength = 512

// An Account is an owner's access to its account. Its writes wait for [Account.Run],
// which must be running.
type Account struct {
	db    *DB
	name  string
	shard int64
	epoch int64

	queue   chan *request
	wake    loop.Signal     // other writers made deliveries pending
	running context.Context // ends with Run; later writes return its cause
	stop    context.CancelCauseFunc

	subscriber func([]notify.Delivery)
	published  *atomic.Int64 // the subscriber has the deliveries up to this position, from publishing or from Pending
	lastNote   int64         // the last note that was read; see [Replica]
}

// Own makes the caller the owner of an account and fences every earlier owner, in this
// process or another. It creates the account if it does not exist. Among replicas,
// [Replica] decides who owns what.
func (db *DB) Own(ctx context.Context, account string) (*Account, error) {
	var row accountRow
	err := db.write(ctx, func(tx transaction) (err error) {
		row, err = tx.lockAccount(ctx, account, 1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("own account %s: %w", account, err)
	}
	return db.newAccount(account, row), nil
}

// newAccount returns an account that this process owns from now on.
func (db *DB) newAccount(name string, row accountRow) *Account {
	a := &Account{
		db: db, name: name, shard: row.shard, epoch: row.epoch, published: new(atomic.Int64),
		queue: make(chan *request, queueLength), wake: loop.NewSignal(), subscriber: func([]notify.Delivery) {},
	}
	a.published.Store(row.lastDelivery)
	a.running, a.stop = context.WithCancelCause(context.Background())
	db.owned.Store(a.shard, a)
	return a
}

// Name returns the account's name.
func (a *Account) Name() string { return a.name }

// wakeOwner wakes the writer of an account, in this process or another, after deliveries
// were made pending without it.
func (db *DB) wakeOwner(shard int64) {
	if a, ok := db.owned.Load(shard); ok {
		a.(*Account).wake.Notify()
	}
	db.notifyReplicas()
}

// owns reports whether this process owns the account of a row that it has locked. That
// does not change before the transaction ends.
func (db *DB) owns(row accountRow) bool {
	a, ok := db.owned.Load(row.shard)
	return ok && a.(*Account).epoch == row.epoch && a.(*Account).running.Err() == nil
}

// ownsNamed reports whether this process owns an account, to its own knowledge.
func (db *DB) ownsNamed(account string) (owns bool) {
	db.owned.Range(func(_, a any) bool {
		owns = a.(*Account).name == account && a.(*Account).running.Err() == nil
		return !owns
	})
	return owns
}

type accountRow struct{ shard, epoch, lastDelivery int64 }

// lockAccount locks the row of an account until the end of the transaction, and raises
// its epoch by step. It creates the row if it does not exist.
func (tx transaction) lockAccount(ctx context.Context, name string, step int64) (accountRow, error) {
	for {
		var row accountRow
		err := tx.queryRow(ctx, `UPDATE accounts SET epoch = epoch + ? WHERE name = ? RETURNING shard, epoch, last_delivery`, step, name).
			Scan(&row.shard, &row.epoch, &row.lastDelivery)
		if !errors.Is(err, sql.ErrNoRows) {
			return row, err
		}
		// If another replica takes the same shard for another account at the same
		// moment, nothing is inserted, and the next turn picks the next shard.
		_, err = tx.exec(ctx, `INSERT INTO accounts (name, shard, epoch, last_event, last_delivery)
			SELECT ?, COALESCE(MAX(shard), 0) + 1, 0, 0, 0 FROM accounts WHERE true ON CONFLICT DO NOTHING`, name)
		if err != nil {
			return row, err
		}
	}
}

// Live implements [watcher.Store].
func (a *Account) Live(ctx context.Context, yield func(watcher.Task) error) error {
	times, err := a.db.pollTimes(ctx, a.db, a.name)
	if err == nil {
		err = a.db.each(ctx, func(scan scanner) error {
			t, err := decodeTask(scan)
			if err != nil {
				return err
			}
			times.Apply(&t)
			return yield(t)
		}, `SELECT `+taskColumns+` FROM tasks WHERE account = ? AND ended_at IS NULL AND removed_at IS NULL`, a.name)
	}
	return wrap(err, "read live tasks of account %s", a.name)
}

// Task implements [watcher.Store].
func (a *Account) Task(ctx context.Context, key watcher.Key) (watcher.Task, error) {
	t, err := a.db.readTask(ctx, key)
	if err == nil && t.Account != a.name {
		return watcher.Task{}, fmt.Errorf("read task %s of account %s: %w", key, a.name, watcher.ErrNoTask)
	}
	return t, err
}

// Save implements [watcher.Store]. A task that is unknown, removed, or in another account
// is a conflict too.
func (a *Account) Save(ctx context.Context, c watcher.Change) error {
	err := checkNumbers(c)
	if err == nil {
		err = a.submit(ctx, &request{task: &c.Task, events: c.Events})
	}
	return wrap(err, "save task %s", c.Task.Key)
}

// checkNumbers returns an error if the numbers of a task's events have a gap or a
// repetition, which would fail a transaction that others share.
func checkNumbers(c watcher.Change) error {
	first := c.Task.Sequence - int64(len(c.Events)) + 1
	for i, e := range c.Events {
		if e.Key != c.Task.Key || e.Sequence != first+int64(i) {
			return fmt.Errorf("event %s/%d in place of %s/%d", e.Key, e.Sequence, c.Task.Key, first+int64(i))
		}
	}
	return nil
}

// Announce implements [watcher.Store]. The event's subject is read from its body.
func (a *Account) Announce(ctx context.Context, e watcher.Event) error {
	var r request
	err := r.announce(e)
	if err == nil {
		err = a.submit(ctx, &r)
	}
	return wrap(err, "announce %s", e.ID)
}

// announce adds an event that belongs to no task to the request.
func (r *request) announce(e watcher.Event) error {
	var body watcher.Envelope
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return err
	}
	r.events, r.subjects = append(r.events, e), append(r.subjects, body.Subject)
	return nil
}

// Settle implements [notify.Outbox].
func (a *Account) Settle(ctx context.Context, outcomes []notify.Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	r := request{outcomes: outcomes}
	for _, o := range outcomes {
		if o.Announce != nil {
			if err := r.announce(*o.Announce); err != nil {
				return fmt.Errorf("settle delivery %d: announce %s: %w", o.ID, o.Announce.ID, err)
			}
		}
	}
	return wrap(a.submit(ctx, &r), "settle deliveries")
}

// MarkDead implements [notify.Outbox].
func (a *Account) MarkDead(ctx context.Context, notifier, reason string, limit int) (int, error) {
	d := &deadLetters{notifier: notifier, reason: reason, limit: limit}
	if err := a.submit(ctx, &request{dead: d}); err != nil {
		return 0, wrap(err, "mark deliveries to %s dead", notifier)
	}
	return d.written, nil
}

// Subscribe implements [notify.Outbox]. [Account.Run] calls f before the write returns
// to its caller.
func (a *Account) Subscribe(f func([]notify.Delivery)) { a.subscriber = f }
