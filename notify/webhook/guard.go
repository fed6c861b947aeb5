package webhook

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

var sixToFour = netip.MustParsePrefix("2002::/16") // RFC 3056

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

// check returns a [*refusal] for an address that may not be dialled.
func (g *guard) check(addr netip.Addr) error {
	judged, embedded := forms(addr)
	switch {
	case slices.Contains(metadata, judged), slices.Contains(metadata, embedded):
		return &refusal{addr: addr}
	case g.public.SafeAddr(judged) != nil:
		return &refusal{addr: addr, opened: netip.PrefixFrom(judged, judged.BitLen())}
	}
	return nil
}

// forms returns what an address is to be judged as, and an IPv4 address that it
// would carry a packet to besides. An IPv4-mapped address is the IPv4 address,
// and so is one for NAT64 (RFC 6052), through which networks without IPv4 reach
// the rest. A zone does not change what an address is.
func forms(addr netip.Addr) (judged, embedded netip.Addr) {
	addr = addr.WithZone("").Unmap()
	if !addr.Is6() {
		return addr, netip.Addr{}
	}
	b := addr.As16()
	switch {
	case ssrf.IPv6NAT64Prefix.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), netip.Addr{}
	case sixToFour.Contains(addr):
		return addr, netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr, netip.Addr{}
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
