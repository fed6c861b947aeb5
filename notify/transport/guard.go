package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// metadata lists the metadata services of clouds, which give a machine its credentials.
// None of them can be a receiver, even if an operator allows its range.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // most clouds
	netip.MustParseAddr("169.254.0.23"),    // Tencent Cloud, metadata.tencentyun.com
	netip.MustParseAddr("169.254.10.10"),   // Tencent Cloud
	netip.MustParseAddr("169.254.170.2"),   // AWS, credentials of containers
	netip.MustParseAddr("169.254.170.23"),  // AWS, identity of pods
	netip.MustParseAddr("169.254.42.42"),   // Scaleway
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("100.96.0.96"),     // Volcengine
	netip.MustParseAddr("168.63.129.16"),   // Azure, WireServer
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd00:ec2::23"),    // AWS, identity of pods
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("fe80::a9fe:a9fe"), // OpenStack
}

// A guard decides which addresses may be dialled: the public internet and the ranges that
// the settings allow, never the metadata service of a cloud.
type guard struct {
	public *ssrf.Guardian
}

func newGuard(open []netip.Prefix) *guard {
	var v4, v6 []netip.Prefix
	for _, prefix := range open {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	return &guard{ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}
}

// control is the Control function of a [net.Dialer]. It is called with the concrete
// address right before dialling, so a second DNS answer cannot bypass it.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("check address: %w", err)
	}
	return g.check(target.Addr())
}

// check returns a [*refusal] for an address that may not be dialled. An IPv4-mapped
// address is checked as the IPv4 address, and so is a NAT64 one (RFC 6052), through which
// networks without IPv4 reach the rest. A zone makes no difference.
func (g *guard) check(addr netip.Addr) error {
	judged := addr.WithZone("").Unmap()
	carried := embedded(judged)
	if ssrf.IPv6NAT64Prefix.Contains(judged) {
		judged = carried[0]
	}
	switch {
	case slices.ContainsFunc(append(carried, judged), isMetadata):
		return &refusal{addr: addr}
	case g.public.SafeAddr(judged) != nil:
		return &refusal{addr: addr, opened: netip.PrefixFrom(judged, judged.BitLen())}
	}
	return nil
}

func isMetadata(addr netip.Addr) bool { return slices.Contains(metadata, addr) }

var teredo = netip.MustParsePrefix("2001::/32") // RFC 4380

// carriers are the IPv6 ranges whose addresses embed an IPv4 address, to which a packet
// may be forwarded, and the bytes that hold it.
var carriers = []struct {
	prefix netip.Prefix
	at     [][4]int
}{
	{netip.MustParsePrefix("::/96"), [][4]int{{12, 13, 14, 15}}},           // IPv4-compatible (RFC 4291, 2.5.5.1)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [][4]int{{12, 13, 14, 15}}}, // IPv4-translated (RFC 2765)
	{ssrf.IPv6NAT64Prefix, [][4]int{{12, 13, 14, 15}}},                     // NAT64 (RFC 6052)
	// Local-use NAT64 (RFC 8215): the prefix has any of RFC 6052's lengths 48, 56, 64
	// and 96, of which all but the last leave out byte 8.
	{netip.MustParsePrefix("64:ff9b:1::/48"), [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}},
	{netip.MustParsePrefix("2002::/16"), [][4]int{{2, 3, 4, 5}}}, // 6to4 (RFC 3056)
	{teredo, [][4]int{{4, 5, 6, 7}}}, // the Teredo server; see embedded for the client
}

// embedded returns the IPv4 addresses that an IPv6 address embeds.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	var carried []netip.Addr
	for _, c := range carriers {
		if !c.prefix.Contains(addr) {
			continue
		}
		for _, at := range c.at {
			carried = append(carried, netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}))
		}
	}
	if teredo.Contains(addr) { // the client's bits are inverted
		carried = append(carried, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return carried
}

// A refusal is the error of an address that may not be dialled.
type refusal struct {
	addr   netip.Addr
	opened netip.Prefix // the range to allow for it; zero: none helps
}

func (r *refusal) Error() string {
	if !r.opened.IsValid() {
		return fmt.Sprintf("address %s is refused: it is a cloud's metadata service, which no setting opens", r.addr)
	}
	return fmt.Sprintf("address %s is refused: allow_cidrs = [%q] would open it, which is in a private, loopback or other special range",
		r.addr, r.opened)
}
