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

// classify wraps an error as [ErrDamaged], [ErrAway] or [ErrRefused] if it is one of
// these, and returns others unchanged.
func classify(err error) error {
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
	_, network := errors.AsType[net.Error](err) // a connection that is refused or times out, or an unknown host name
	if network || pgconn.Timeout(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}

// refusal reports whether a SQLSTATE means that the URL is wrong.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func refusal(code string) bool {
	switch code {
	case "28000", // the role does not exist, or may not connect from this host or without TLS
		"28P01", // wrong password
		"3D000", // no such database
		"3F000", // no such schema
		"42501": // no privilege
		return true
	}
	return false
}

// absence reports whether a SQLSTATE means that the server is temporarily unavailable: it
// is starting or stopping, lost the connection, or has no free connection. PgBouncer
// returns 08P01 when its server is unavailable.
func absence(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", "57", "53":
		return true
	}
	return false
}

// refusesWrites reports whether the error of a write means that the database accepts no
// writes, as opposed to a wrong write or a conflict.
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
	return file || errors.Is(err, ErrReplaced) || errors.Is(classify(err), ErrAway) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn)
}
