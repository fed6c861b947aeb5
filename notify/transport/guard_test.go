package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	open := func(cidrs ...string) []netip.Prefix {
		prefixes := make([]netip.Prefix, len(cidrs))
		for i, cidr := range cidrs {
			prefixes[i] = netip.MustParsePrefix(cidr)
		}
		return prefixes
	}
	nothing, all := open(), open("0.0.0.0/0", "::/0")
	private := open("10.0.0.0/8", "fd00::/8")
	const always = "no setting opens"
	tests := []struct {
		open    []netip.Prefix
		address string
		want    string // in the refusal; "" for none
	}{
		{nothing, "8.8.8.8:443", ""},
		{nothing, "8.8.8.8:22", ""},
		{nothing, "[2606:4700::1111]:443", ""},
		{nothing, "[64:ff9b::808:808]:443", ""}, // 8.8.8.8 through NAT64
		{nothing, "[::ffff:8.8.8.8]:443", ""},

		{nothing, "127.0.0.1:80", `allow_cidrs = ["127.0.0.1/32"]`},
		{nothing, "0.0.0.0:80", `allow_cidrs = ["0.0.0.0/32"]`},
		{nothing, "10.1.2.3:80", `allow_cidrs = ["10.1.2.3/32"]`},
		{nothing, "172.16.0.1:80", `allow_cidrs`},
		{nothing, "192.168.0.1:80", `allow_cidrs`},
		{nothing, "100.64.0.1:80", `allow_cidrs`},
		{nothing, "169.254.1.1:80", `allow_cidrs`},
		{nothing, "224.0.0.1:80", `allow_cidrs`},
		{nothing, "255.255.255.255:80", `allow_cidrs`},
		{nothing, "[::]:80", `allow_cidrs = ["::/128"]`},
		{nothing, "[::1]:80", `allow_cidrs = ["::1/128"]`},
		{nothing, "[fe80::1%lo]:80", `allow_cidrs = ["fe80::1/128"]`},
		{nothing, "[fd00::1]:80", `allow_cidrs = ["fd00::1/128"]`},
		{nothing, "[::ffff:127.0.0.1]:80", `allow_cidrs = ["127.0.0.1/32"]`},
		{nothing, "[64:ff9b::7f00:1]:80", `allow_cidrs = ["127.0.0.1/32"]`},
		{nothing, "[64:ff9b:1::7f00:1]:80", `allow_cidrs`},
		{nothing, "[2002:7f00:1::]:80", `allow_cidrs = ["2002:7f00:1::/128"]`},
		{nothing, "[2001:0:1::]:80", `allow_cidrs`}, // Teredo

		{private, "10.1.2.3:80", ""},
		{private, "[fd00::1]:80", ""},
		{private, "[64:ff9b::a01:203]:80", ""},
		{private, "127.0.0.1:80", `allow_cidrs`},
		{private, "192.168.0.1:80", `allow_cidrs`},
		{open("127.0.0.1/32"), "127.0.0.1:80", ""},
		{open("127.0.0.1/32"), "127.0.0.2:80", `allow_cidrs`},
		{open("fe80::/10"), "[fe80::1%lo]:80", ""},
		{all, "[2002:7f00:1::]:80", ""},

		{all, "169.254.169.254:80", always},
		{all, "169.254.0.23:80", always},
		{all, "169.254.10.10:80", always},
		{all, "100.100.100.200:80", always},
		{all, "[fd00:ec2::254]:80", always},
		{all, "[fd00:ec2::254%eth0]:80", always},
		{all, "[::ffff:169.254.169.254]:80", always},
		{all, "[64:ff9b::a9fe:a9fe]:80", always},
		{all, "[2002:a9fe:a9fe::]:80", always},
		{all, "[2002:a9fe:a9fe::1%eth0]:80", always},
		{all, "[::169.254.169.254]:80", always},
		{all, "[::ffff:0:169.254.169.254]:80", always},
		{all, "[64:ff9b:1::a9fe:a9fe]:80", always},
		{all, "[64:ff9b:1:fffe:a9fe:a9fe::]:80", ""}, // byte 8 carries nothing
		{all, "[64:ff9b:1:a9fe:a9:fe00::]:80", always},
		{all, "[64:ff9b:1:ffa9:fe:a9fe::]:80", always},
		{all, "[64:ff9b:1:ffff:a9:fea9:fe00:0]:80", always},
		{all, "[64:ff9b:2::a9fe:a9fe]:80", ""},
		{all, "[2001:0:a9fe:a9fe::]:80", always},
		{all, "[2001::5601:5601]:80", always}, // Teredo turns the client's bits over
		{all, "[::ffff:100.100.100.200]:80", always},
		{all, "[64:ff9b:1::]:80", ""},
		{all, "[::1]:80", ""},
		{nothing, "169.254.169.254:80", always},
		{nothing, "168.63.129.16:80", always}, // looks public
	}
	for _, tt := range tests {
		err := newGuard(tt.open).control("tcp", tt.address, nil)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("control(%s) with %v open = %v, want %q", tt.address, tt.open, err, tt.want)
		}
		if _, ok := errors.AsType[*refusal](err); ok != (tt.want != "") {
			t.Errorf("control(%s) = %T, want a *refusal", tt.address, err)
		}
	}
	if err := newGuard(all).control("tcp", "classroom.example:443", nil); err == nil {
		t.Error("control(a name) = nil, want an error: only addresses can be judged")
	}
}

// carriedSlowly finds the IPv4 addresses in an IPv6 address by its bits, written out
// as text, and knows no more of the ranges than their first bits.
func carriedSlowly(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	var bits strings.Builder
	for _, b := range addr.As16() {
		fmt.Fprintf(&bits, "%08b", b)
	}
	text := bits.String()
	read := func(bits string) netip.Addr {
		n, err := strconv.ParseUint(bits, 2, 32)
		if err != nil {
			panic(err)
		}
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	starts := func(words ...uint16) bool {
		var prefix strings.Builder
		for _, word := range words {
			fmt.Fprintf(&prefix, "%016b", word)
		}
		return strings.HasPrefix(text, prefix.String())
	}
	var found []netip.Addr
	switch {
	case starts(0, 0, 0, 0, 0, 0), starts(0, 0, 0, 0, 0, 0xffff), starts(0, 0, 0, 0, 0xffff, 0), starts(0x64, 0xff9b, 0, 0, 0, 0):
		found = append(found, read(text[96:]))
	case starts(0x64, 0xff9b, 1):
		without := text[:64] + text[72:] // RFC 6052, 2.2: bits 64 to 71 are none of the address
		found = append(found, read(without[48:80]), read(without[56:88]), read(without[64:96]), read(text[96:]))
	case starts(0x2002):
		found = append(found, read(text[16:48]))
	case starts(0x2001, 0):
		turned := strings.NewReplacer("0", "1", "1", "0").Replace(text[96:])
		found = append(found, read(text[32:64]), read(turned))
	}
	return found
}

// FuzzGuard puts an IPv4 address into every form that carries one, and compares the
// guard with the slow reference, with nothing and with everything open.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254}, []byte{}, "")
	f.Add([]byte{100, 100, 100, 200}, []byte{0, 0x64, 0xff, 0x9b, 0, 1}, "eth0")
	f.Add([]byte{10, 0, 0, 1}, []byte{0x20, 0x01}, "1")
	f.Add([]byte{8, 8, 8, 8}, []byte{0xff, 0xff, 0xff}, "lo")
	nothing, all := newGuard(nil), newGuard([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	f.Fuzz(func(t *testing.T, v4, v6 []byte, zone string) {
		var inner [4]byte
		copy(inner[:], v4)
		var outer [16]byte
		copy(outer[:], v6)
		forms := []netip.Addr{netip.AddrFrom4(inner), netip.AddrFrom16(outer)}
		at := func(prefix string, places ...int) {
			b := netip.MustParseAddr(prefix).As16()
			for i, place := range places {
				b[place] = inner[i]
			}
			forms = append(forms, netip.AddrFrom16(b))
		}
		for _, prefix := range []string{"::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:2:3:4::", "2001:db8::"} {
			at(prefix, 12, 13, 14, 15)
		}
		at("64:ff9b:1::", 6, 7, 9, 10)
		at("64:ff9b:1:200::", 7, 9, 10, 11)
		at("64:ff9b:1:203::", 9, 10, 11, 12)
		at("2002::1", 2, 3, 4, 5)
		at("2001::", 4, 5, 6, 7)
		inner = [4]byte{^inner[0], ^inner[1], ^inner[2], ^inner[3]}
		at("2001::", 12, 13, 14, 15)
		for _, addr := range forms {
			for _, addr := range []netip.Addr{addr, addr.WithZone(zone)} {
				secret := slices.ContainsFunc(append(carriedSlowly(addr), addr.WithZone("").Unmap()), func(a netip.Addr) bool { return slices.Contains(metadata, a) })
				if refused := all.check(addr) != nil; refused != secret {
					t.Errorf("check(%s) with all open: refused %t, want %t", addr, refused, secret)
				}
				if secret && nothing.check(addr) == nil {
					t.Errorf("check(%s) = nil, want it refused", addr)
				}
				// What carries an address that is not public is not to be dialled either.
				if carried := carriedSlowly(addr); len(carried) == 1 && nothing.check(carried[0]) != nil && nothing.check(addr) == nil {
					t.Errorf("check(%s) = nil, but %s in it is refused", addr, carried[0])
				}
			}
		}
	})
}
