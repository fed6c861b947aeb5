package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"slices"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

const (
	// groupWeight is about how many rows one transaction changes. More would hardly
	// lower the cost of the fsync per row, and only make callers wait.
	groupWeight = 500

	// commitTimeout bounds one transaction.
	commitTimeout = 30 * time.Second

	// recheckDelay is how long after a transaction of unknown outcome the writer checks
	// what was committed.
	recheckDelay = time.Second

	// publishRows is how many deliveries the subscriber gets at a time.
	publishRows = 512
)

var errSlow = errors.New("the database took longer than " + commitTimeout.String())

// A request is one write that waits for a transaction.
type request struct {
	task       *watcher.Task // whose events these are; nil: they are announcements
	events     []watcher.Event
	subjects   []string // one for each announcement
	outcomes   []notify.Outcome
	checkpoint string
	dead       *deadLetters

	err  error         // the result, once done is closed
	done chan struct{} // made by submit
}

// A deadLetters is a request to mark the first pending deliveries of a notifier as dead.
type deadLetters struct {
	notifier, reason string
	limit            int
	written          int // the result: how many
}

func (r *request) weight() int {
	n := 1 + len(r.outcomes)
	for _, e := range r.events {
		n += 1 + len(e.Notifiers)
	}
	return n
}

// submit queues a write and waits for its commit. If ctx ends first, the write may still be
// committed.
func (a *Account) submit(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	select {
	case a.queue <- r:
	case <-a.running.Done():
		return context.Cause(a.running)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.running.Done():
	}
	select {
	case <-r.done: // in the last group
		return r.err
	default:
		return context.Cause(a.running)
	}
}

// Run writes until ctx ends, when it returns nil, or until the account has another owner,
// when it returns [watcher.ErrFenced]. It finishes the current transaction; writes that are
// still queued get [ErrClosed] or ErrFenced. Run may be called once.
func (a *Account) Run(ctx context.Context) error {
	var recheck <-chan time.Time // set while the outcome of a transaction is unknown
	for {
		var group []*request
		select {
		case <-ctx.Done():
			a.stop(ErrClosed)
			return nil
		case r := <-a.queue:
			group = a.gather(r)
		case <-recheck:
		case <-a.wake:
		}
		err := a.commit(ctx, group)
		if errors.Is(err, watcher.ErrFenced) {
			a.stop(watcher.ErrFenced)
			return watcher.ErrFenced
		}
		recheck = nil
		if err != nil {
			recheck = time.After(recheckDelay)
		}
	}
}

// gather returns a group: first and the writes queued after it. It yields once before, so
// that the callers that the last commit woke can queue their next writes; otherwise the
// first of them would get a transaction of its own.
func (a *Account) gather(first *request) []*request {
	runtime.Gosched()
	group := []*request{first}
	for weight := first.weight(); weight < groupWeight; {
		select {
		case r := <-a.queue:
			group = append(group, r)
			weight += r.weight()
		default:
			return group
		}
	}
	return group
}

// commit writes a group in one transaction, publishes its deliveries to the subscriber,
// and then wakes the callers. A conflict is returned to its caller only, an error of the
// transaction to all callers, because its outcome may be unknown. Nothing is retried.
func (a *Account) commit(ctx context.Context, group []*request) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), commitTimeout, errSlow)
	defer cancel()

	var deliveries []notify.Delivery
	var last int64
	err := a.db.write(ctx, func(tx transaction) error {
		var err error
		deliveries, last, err = a.writeGroup(ctx, tx, group)
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err == nil {
		a.published.Store(last)
		if len(deliveries) > 0 {
			a.subscriber(deliveries)
		}
		if slices.ContainsFunc(group, func(r *request) bool { return len(r.events) > 0 }) {
			a.db.notifyChanged()
			a.db.notifyReplicas()
		}
	}
	for _, r := range group {
		if err != nil {
			r.err = err
		}
		close(r.done)
	}
	return err
}

// writeGroup proves the ownership and writes a group. It returns the new deliveries, in
// order, and the highest position that is allotted now.
//
// Its first statement allots numbers for everything in the group; those of changes with a
// conflict remain unused. It also shows whether numbers were allotted elsewhere since, by
// a replay or by a transaction that seemed to fail but was committed: the deliveries of
// those are published first.
func (a *Account) writeGroup(ctx context.Context, tx transaction, group []*request) ([]notify.Delivery, int64, error) {
	var events, deliveries int64
	for _, r := range group {
		events += int64(len(r.events))
		for _, e := range r.events {
			deliveries += int64(len(e.Notifiers))
		}
	}
	var lastEvent, lastDelivery int64
	err := tx.queryRow(ctx, `UPDATE accounts SET last_event = last_event + ?, last_delivery = last_delivery + ?
		WHERE name = ? AND epoch = ? RETURNING last_event, last_delivery`, events, deliveries, a.name, a.epoch).Scan(&lastEvent, &lastDelivery)
	if errors.Is(err, sql.ErrNoRows) {
		err = watcher.ErrFenced
	}
	if err != nil {
		return nil, 0, err
	}

	if err := a.publishOthers(ctx, tx, lastDelivery-deliveries); err != nil {
		return nil, 0, err
	}
	saved, err := tx.saveTasks(ctx, group)
	if err != nil {
		return nil, 0, err
	}
	written, err := tx.insertEvents(ctx, a.shard, number(saved, lastEvent-events, lastDelivery-deliveries))
	if err != nil {
		return nil, 0, err
	}
	made, err := a.insertDeliveries(ctx, tx, written)
	if err != nil {
		return nil, 0, err
	}
	if err := tx.settle(ctx, a.shard, group); err != nil {
		return nil, 0, err
	}
	if err := tx.saveCheckpoint(ctx, a.shard, group); err != nil {
		return nil, 0, err
	}
	for _, r := range group {
		if r.dead != nil {
			if err := tx.writeDeadLetters(ctx, a.shard, r.dead); err != nil {
				return nil, 0, err
			}
		}
	}
	return made, lastDelivery, nil
}

// publishOthers publishes the pending deliveries with positions up to last that were
// committed but not published yet.
func (a *Account) publishOthers(ctx context.Context, tx transaction, last int64) error {
	for reached := a.published.Load(); reached < last; a.published.Store(reached) {
		deliveries, err := list(ctx, tx, a.decodeDelivery, `SELECT `+deliveryColumns+` WHERE d.shard = ? AND d.id > ? AND d.id <= ? AND d.state = 'pending' AND d.replayed_at IS NULL
			UNION ALL
			SELECT `+deliveryColumns+` WHERE d.shard = ? AND d.position > ? AND d.position <= ? AND d.state = 'pending' AND d.replayed_at IS NOT NULL
			ORDER BY 2 LIMIT ?`, a.shard, reached, last, a.shard, reached, last, publishRows)
		if err != nil {
			return err
		}
		if len(deliveries) > 0 {
			a.subscriber(deliveries)
		}
		if len(deliveries) < publishRows {
			reached = last
		} else {
			reached = deliveries[len(deliveries)-1].Position
		}
	}
	return nil
}
