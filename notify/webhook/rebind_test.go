package webhook_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// resolveTo has every name mean the address that is asked for at each look-up, until
// the test ends.
func resolveTo(t *testing.T, address func() netip.Addr) {
	t.Helper()
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for answerName(server, address) == nil {
			}
		}()
		return client, nil
	}}
}

// answerName answers one query for a name (RFC 1035, section 4, as over TCP).
func answerName(conn net.Conn, address func() netip.Addr) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return err
	}
	end := 12 + slices.Index(query[12:], 0) + 1 // of the name that is asked for
	const typeA = 1
	answers := byte(0)
	if binary.BigEndian.Uint16(query[end:]) == typeA {
		answers = 1
	}
	message := slices.Concat(query[:2], []byte{0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, query[12:end+4])
	if answers == 1 {
		message = append(message, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the same name, good for no time
		message = append(message, address().AsSlice()...)
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// TestRebindingName has a name lead to an address that is open, and at the next look-up
// to one that is not: that is refused, as each address is when it is dialled.
func TestRebindingName(t *testing.T) {
	var requests, lookups atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Connection", "close") // so that the next attempt has to dial
		w.WriteHeader(http.StatusNoContent)
	})
	resolveTo(t, func() netip.Addr {
		if lookups.Add(1) == 1 {
			return netip.MustParseAddr("127.0.0.1")
		}
		return netip.MustParseAddr("127.0.0.2") // which this machine is, too
	})
	c := config(strings.Replace(url, "127.0.0.1", "classroom.example", 1))
	c.AllowCIDRs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	s := sender(t, c)
	if status, err := s.Send(t.Context(), delivery()); status != http.StatusNoContent || err != nil {
		t.Fatalf("Send = %d, %v, want 204", status, err)
	}
	_, err := s.Send(t.Context(), delivery())
	if got := failed(t, err); got.Cause.String() != "blocked" || got.Cause.Counts() || !strings.Contains(got.Reason, `["127.0.0.2/32"]`) {
		t.Errorf("Send to a name that leads elsewhere by now = %+v, want it blocked", got)
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("requests = %d, want one", got)
	}
}
