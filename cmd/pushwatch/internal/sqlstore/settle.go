package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"pushwatch/notify"
	"pushwatch/watcher"
)

// A logLine is an attempt in the log of its delivery.
type logLine struct {
	At         watcher.Timestamp `json:"at"`
	Status     int               `json:"status"`
	Error      string            `json:"error"`
	DurationMS int64             `json:"duration_ms"`
}

// settle writes the outcomes of a group, and the notifiers' states in them. An outcome that
// was written before, or is late, changes nothing: the delivery is settled, or has as many
// attempts, already. An outcome that settles is written for any number of attempts: a
// delivery that its receiver accepted must not stay pending.
func (tx transaction) settle(ctx context.Context, shard int64, group []*request) error {
	var outcomes []notify.Outcome
	for _, r := range group {
		outcomes = append(outcomes, r.outcomes...)
	}
	for _, round := range rounds(outcomes, func(o notify.Outcome) int64 { return o.ID }) {
		rows := rowsOf(round, func(o notify.Outcome) []any { return encodeOutcome(shard, o) })
		if _, err := tx.execRows(ctx, settleStatement, rows); err != nil {
			return err
		}
	}
	var records []notify.NotifierRecord
	for _, o := range outcomes {
		if o.Notifier != nil {
			records = append(records, *o.Notifier)
		}
	}
	// All writers lock the notifiers' rows in the same order, so that they cannot deadlock.
	slices.SortStableFunc(records, func(a, b notify.NotifierRecord) int { return strings.Compare(a.Notifier, b.Notifier) })
	for _, s := range records {
		if err := tx.saveNotifier(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// settleStatement writes outcomes. Its condition that a delivery is pending deliberately
// differs from those of the partial indexes, as in [saveStatement].
const settleStatement = `WITH o (shard, id, position, state, attempts, requests, next_attempt_at, last_error, log, uncounted, settled_at)
		AS (VALUES %s)
	UPDATE deliveries SET state = o.state, next_attempt_at = o.next_attempt_at,
		last_error = o.last_error, log = deliveries.log || o.log, settled_at = o.settled_at,
		uncounted = CASE WHEN o.uncounted <> '' THEN o.uncounted ELSE deliveries.uncounted END,
		requests = CASE WHEN deliveries.requests < o.requests THEN o.requests ELSE deliveries.requests END,
		attempts = CASE WHEN o.uncounted <> '' THEN deliveries.attempts
			WHEN deliveries.attempts < o.attempts THEN o.attempts ELSE deliveries.attempts + 1 END
	FROM o WHERE deliveries.shard = o.shard AND deliveries.id = o.id AND deliveries.position = o.position
		AND deliveries.state NOT IN ('delivered', 'dead') AND (o.state <> 'pending' OR deliveries.attempts < o.attempts
			OR o.uncounted <> '' AND deliveries.attempts = o.attempts)`

// writeDeadLetters marks the first pending deliveries of a notifier as dead.
func (tx transaction) writeDeadLetters(ctx context.Context, shard int64, d *deadLetters) error {
	n, err := tx.exec(ctx, `UPDATE deliveries SET state = 'dead', next_attempt_at = NULL, last_error = ?, settled_at = ?
		WHERE shard = ? AND id IN (SELECT id FROM deliveries
			WHERE shard = ? AND notifier = ? AND state = 'pending' ORDER BY position LIMIT ?)`,
		validText(d.reason), time.Now().UnixMicro(), shard, shard, d.notifier, d.limit)
	d.written = int(n)
	return err
}

// validText replaces the bytes that PostgreSQL refuses in a text. A receiver may answer any
// bytes, and must not make a transaction fail that others share.
func validText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// encodeOutcome returns the row of an outcome.
func encodeOutcome(shard int64, o notify.Outcome) []any {
	var next, settled moment
	if o.State == notify.Pending {
		next = moment(o.NextAttemptAt)
	} else {
		settled = moment(o.Attempt.At.Add(o.Attempt.Duration))
	}
	log, uncounted := encodeLog(o.Attempt), encodeLog(o.Uncounted...)
	if uncounted != "" {
		log = ""
	}
	return []any{shard, o.ID, o.Position, string(o.State), o.Attempts, o.Requests, next, validText(o.Attempt.Error), log, uncounted, settled}
}

// encodeLog writes a line for each attempt.
func encodeLog(attempts ...notify.Attempt) string {
	var log strings.Builder
	for _, t := range attempts {
		log.WriteString(encodeJSON(logLine{watcher.Timestamp{Time: t.At}, t.Status, validText(t.Error), t.Duration.Milliseconds()}) + "\n")
	}
	return log.String()
}
