package sqlstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestSortFault(t *testing.T) {
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
		got := sortFault(test.err)
		if away, refused := errors.Is(got, ErrAway), errors.Is(got, ErrRefused); away != (test.want == ErrAway) || refused != (test.want == ErrRefused) || !errors.Is(got, test.err) {
			t.Errorf("sortFault(%v) = %v, want %v", test.err, got, test.want)
		}
	}
}
