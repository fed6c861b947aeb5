package sqlstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// sortFault wraps an error of PostgreSQL as [ErrAway] or [ErrRefused] where it is one
// of these, and returns others unchanged.
func sortFault(err error) error {
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
