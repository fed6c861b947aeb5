package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// metadata lists where clouds tell a machine its credentials. None of these can
// be a receiver, whatever range an operator opens.
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

// A guard says which addresses may be dialled: all of the public internet, what
// is opened by name, and never the metadata service of a cloud.
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

// control is for [net.Dialer]: it is called with each address right before it is
// dialled, which leaves a name no time to lead elsewhere.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("judge address: %w", err)
	}
	return g.check(target.Addr())
}

// check returns a [*refusal] for an address that may not be dialled. An IPv4-mapped
// address is judged as the IPv4 address, and so is one for NAT64 (RFC 6052), through
// which networks without IPv4 reach the rest. A zone does not change what an address is.
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

// carriers are the IPv6 ranges whose addresses carry an IPv4 address, to which a
// packet may be sent on, and at which bytes.
var carriers = []struct {
	prefix netip.Prefix
	at     [][4]int
}{
	{netip.MustParsePrefix("::/96"), [][4]int{{12, 13, 14, 15}}},           // IPv4-compatible (RFC 4291, 2.5.5.1)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [][4]int{{12, 13, 14, 15}}}, // IPv4-translated (RFC 2765)
	{ssrf.IPv6NAT64Prefix, [][4]int{{12, 13, 14, 15}}},                     // NAT64 (RFC 6052)
	// NAT64 of a network's own (RFC 8215): the prefix may be of any of RFC 6052's
	// lengths, 48, 56, 64 or 96, of which all but the last leave byte 8 out.
	{netip.MustParsePrefix("64:ff9b:1::/48"), [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}}},
	{netip.MustParsePrefix("2002::/16"), [][4]int{{2, 3, 4, 5}}}, // 6to4 (RFC 3056)
	{teredo, [][4]int{{4, 5, 6, 7}}}, // of Teredo's server; see embedded for its client
}

// embedded returns the IPv4 addresses that an IPv6 address carries.
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
	if teredo.Contains(addr) { // the client's bits are turned over
		carried = append(carried, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return carried
}

// A refusal is an address that may not be dialled.
type refusal struct {
	addr   netip.Addr
	opened netip.Prefix // what would have to be opened for it; zero: nothing helps
}

func (r *refusal) Error() string {
	if !r.opened.IsValid() {
		return fmt.Sprintf("address %s is refused: it is a cloud's metadata service, which no setting opens", r.addr)
	}
	return fmt.Sprintf("address %s is refused: allow_cidrs = [%q] would open it, which is in a private, loopback or other special range",
		r.addr, r.opened)
}
