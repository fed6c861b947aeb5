package sqlstore

import (
	"strings"
	"testing"
	"time"

	"pushwatch/watcher/storetest"
)

// TestSettlePlan holds that SQLite looks up each delivery that is settled, where it
// would easily read through all of them.
func TestSettlePlan(t *testing.T) {
	db := openTest(t)
	const n = 3
	rows, err := db.reader.Query(`EXPLAIN QUERY PLAN `+settleStatement(n), make([]any, n*len(outcomeTypes))...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "SEARCH deliveries") || strings.Contains(text, "SCAN deliveries") {
		t.Errorf("plan is\n%s\nwant a search of deliveries and no scan", text)
	}
}

// TestFrozenTransaction has a process freeze in the middle of a transaction: the
// server ends it, and so frees what it had locked, before others take the process for
// dead.
func TestFrozenTransaction(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	url := storetest.Postgres(t)
	frozen, err := Open(t.Context(), Config{URL: url, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	other, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = frozen.write(t.Context(), func(tx transaction) error {
		if _, err := tx.account(t.Context(), "school", 1); err != nil {
			return err
		}
		start := time.Now()
		if _, err := other.Own(t.Context(), "school"); err != nil { // which waits for the row
			return err
		}
		if waited := time.Since(start); waited < ttl/4 {
			t.Errorf("Own() of a locked account took %s, want about %s", waited, ttl/2)
		}
		_, err := tx.account(t.Context(), "school", 1)
		return err
	})
	if err == nil {
		t.Error("a transaction that was frozen for longer than it may went on")
	}
}
