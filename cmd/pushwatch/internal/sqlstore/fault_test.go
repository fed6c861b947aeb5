package sqlstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pushwatch/watcher"
)

func TestSortFault(t *testing.T) {
	t.Parallel()
	said := func(code string) error {
		return fmt.Errorf("ping store: %w", &pgconn.PgError{Severity: "FATAL", Code: code})
	}
	for _, test := range []struct {
		err  error
		want error // nil: neither
	}{
		{said("28P01"), ErrRefused},
		{said("28000"), ErrRefused},
		{said("3D000"), ErrRefused},
		{said("42501"), ErrRefused},
		{said("57P03"), ErrAway}, // starting up
		{said("57P01"), ErrAway},
		{said("53300"), ErrAway}, // too many connections
		{said("08P01"), ErrAway}, // PgBouncer's server is away
		{said("42P01"), nil},     // no such table
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ErrRefused},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, ErrAway},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, ErrAway},
		{fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), ErrAway},
		{errors.New("decode task 1/a: invalid JSON"), nil},
	} {
		got := classify(test.err)
		if away, refused := errors.Is(got, ErrAway), errors.Is(got, ErrRefused); away != (test.want == ErrAway) || refused != (test.want == ErrRefused) || !errors.Is(got, test.err) {
			t.Errorf("classify(%v) = %v, want %v", test.err, got, test.want)
		}
	}
}

func TestRefusesWrites(t *testing.T) {
	t.Parallel()
	said := func(code string) error {
		return fmt.Errorf("commit: %w", &pgconn.PgError{Severity: "ERROR", Code: code})
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{said("25006"), true},  // read-only transaction
		{said("53100"), true},  // disk full
		{said("58030"), true},  // I/O error
		{said("57P01"), true},  // shutting down
		{said("42501"), true},  // no privilege
		{said("23505"), false}, // unique violation
		{said("40P01"), false}, // deadlock
		{said("22021"), false}, // a text that is none
		{fmt.Errorf("stat: %w", ErrReplaced), true},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{errors.Join(context.DeadlineExceeded, errSlow), true},
		{context.Canceled, false},
		{watcher.ErrConflict, false},
		{watcher.ErrFenced, false},
		{errUnlocked, false},
	} {
		if got := refusesWrites(test.err); got != test.want {
			t.Errorf("refusesWrites(%v) = %v, want %v", test.err, got, test.want)
		}
	}
}

// TestRefusesWritesSQLite asks what SQLite itself says.
func TestRefusesWritesSQLite(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "pushwatch.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for statement, want := range map[string]bool{
		`INSERT INTO accounts (name, shard, epoch, last_event, last_delivery) VALUES ('a', 1, 1, 0, 0), ('b', 1, 1, 0, 0)`: false, // not unique
		`UPDATE nothing SET x = 1`: false,
	} {
		if _, err := db.writer.ExecContext(t.Context(), statement); err == nil || refusesWrites(err) != want {
			t.Errorf("refusesWrites(%v) = %v, want %v", err, !want, want)
		}
	}
	// A reader's connection is read-only, as a file system can be.
	if _, err := db.reader.ExecContext(t.Context(), `UPDATE accounts SET epoch = 1`); err == nil || !refusesWrites(err) {
		t.Errorf("refusesWrites(%v) = false, want true", err)
	}
}
