package webhook

import (
	"errors"
	"net/netip"
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
