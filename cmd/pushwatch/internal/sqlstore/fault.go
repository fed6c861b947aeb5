package sqlstore

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sortFault wraps an error of SQLite as [ErrDamaged], or one of PostgreSQL as [ErrAway]
// or [ErrRefused], where it is one of these, and returns others unchanged.
func sortFault(err error) error {
	if IsDamaged(err) {
		return Damage(err)
	}
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case refusal(said.Code):
			return fmt.Errorf("%w: %w", ErrRefused, err)
		case absence(said.Code):
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok && strings.Contains(err.Error(), "server refused TLS connection") {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	_, network := errors.AsType[net.Error](err) // a refused or timed out connection, and a name that is not known
	if network || pgconn.Timeout(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}

// refusal reports whether a SQLSTATE says that the URL is at fault.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func refusal(code string) bool {
	switch code {
	case "28000", // the role does not exist, or may not connect from here, or without TLS
		"28P01", // wrong password
		"3D000", // no such database
		"3F000", // no such schema
		"42501": // no privilege
		return true
	}
	return false
}

// absence reports whether a SQLSTATE says that the server may serve later: it
// starts or stops, lost the connection, or has no connection to spare. PgBouncer
// says 08P01 when its server is away.
func absence(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", "57", "53":
		return true
	}
	return false
}

// refusesWrites reports whether the error of a write says that the database takes none,
// rather than that this one was wrong, or met a conflict.
func refusesWrites(err error) bool {
	if fault, ok := errors.AsType[*sqlite.Error](err); ok {
		switch fault.Code() & 0xff { // without the extension
		case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH,
			sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_INTERRUPT:
			return errors.Is(err, context.DeadlineExceeded)
		}
		return true
	}
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch said.Code[:min(2, len(said.Code))] {
		case "25", // a transaction that is read-only, as on a standby
			"58", "XX": // the server's disk, or its own faults
			return true
		}
		return refusal(said.Code) || absence(said.Code)
	}
	_, file := errors.AsType[*fs.PathError](err)
	return file || errors.Is(err, ErrReplaced) || errors.Is(sortFault(err), ErrAway) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn)
}
