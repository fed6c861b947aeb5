package notify_test

import (
	"errors"
	"testing"

	"pushwatch/notify"
)

func TestParseDeliveryID(t *testing.T) {
	want := notify.DeliveryID{Shard: 2, ID: 17}
	if got, err := notify.ParseDeliveryID(want.String()); err != nil || got != want {
		t.Errorf("ParseDeliveryID(%q) = %v, %v, want %v", want, got, err, want)
	}
	for _, s := range []string{"", "dlv_2", "dlv_2_17x", "dlv_02_17", "dlv_2_ 17", "msg_2_17", "dlv_2_99999999999999999999"} {
		if got, err := notify.ParseDeliveryID(s); !errors.Is(err, notify.ErrNoDelivery) {
			t.Errorf("ParseDeliveryID(%q) = %v, %v, want %v", s, got, err, notify.ErrNoDelivery)
		}
	}
}

func TestCheckFallbacks(t *testing.T) {
	faults := notify.CheckFallbacks(map[string]string{
		"fine": "end", "end": "", "self": "self", "a": "b", "b": "c", "c": "a", "into": "a", "typo": "nobody",
	})
	want := []string{"self", "a", "b", "c", "typo"}
	for _, name := range want {
		if faults[name] == nil {
			t.Errorf("CheckFallbacks() finds nothing wrong with %s, want a fault", name)
		}
	}
	if len(faults) != len(want) {
		t.Errorf("CheckFallbacks() = %v, want faults of %v alone", faults, want)
	}
}
