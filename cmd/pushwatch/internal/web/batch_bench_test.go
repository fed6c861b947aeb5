package web

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkBatch registers 10,000 pushes in one call, on SQLite. It reports how
// long that takes, and how many times as long as bare inserts of as many rows take
// in one transaction of the same database/sql driver: one prepared statement, one
// index.
func BenchmarkBatch(b *testing.B) {
	const tasks = 10_000
	h := serve(b)
	bare, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	if _, err := bare.Exec(`CREATE TABLE tasks (sdk_app_id BIGINT NOT NULL, task_id TEXT NOT NULL, state TEXT NOT NULL, labels TEXT NOT NULL, registered_at BIGINT NOT NULL, PRIMARY KEY (sdk_app_id, task_id))`); err != nil {
		b.Fatal(err)
	}
	var registering, inserting time.Duration
	n := 0
	for b.Loop() {
		body := batch(n, tasks)
		begun := time.Now()
		if w := ask(h, "POST", "/v1/tasks/batch", body); w.Code != http.StatusOK {
			b.Fatalf("POST = %d %.300s, want 200", w.Code, w.Body)
		}
		registering += time.Since(begun)

		begun = time.Now()
		insertBare(b, bare, n, tasks)
		inserting += time.Since(begun)
		n += tasks
	}
	b.ReportMetric(registering.Seconds()*1000/float64(b.N), "ms/batch")
	b.ReportMetric(inserting.Seconds()*1000/float64(b.N), "ms/bare-insert")
	b.ReportMetric(float64(registering)/float64(inserting), "ratio")
	b.ReportMetric(0, "ns/op") // would be both
}

// batch is a request for n tasks, numbered from first on.
func batch(first, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `,{"sdk_app_id":1400000001,"task_id":"class-%d","labels":{"course":"math-3b"}}`, first+i)
	}
	return `{"tasks":[` + text.String()[1:] + `]}`
}

func insertBare(b *testing.B, db *sql.DB, first, n int) {
	b.Helper()
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO tasks VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	defer insert.Close()
	for i := range n {
		if _, err := insert.ExecContext(ctx, 1400000001, fmt.Sprintf("class-%d", first+i), "registered", `{"course":"math-3b"}`, time.Now().UnixMicro()); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
