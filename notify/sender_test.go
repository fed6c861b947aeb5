package notify

import "testing"

// TestCauses names for each cause its label, whether the attempt counts, and whether
// such failures in a row mean that the receiver is down.
func TestCauses(t *testing.T) {
	tests := map[Cause]struct {
		label          string
		counts, outage bool
	}{
		CauseOther:     {"other", true, true},
		CauseRedirect:  {"3xx", true, false},
		CauseRefused:   {"4xx", true, false},
		CauseGone:      {"410", true, false},
		CauseThrottled: {"429", true, true},
		CauseServer:    {"5xx", true, true},
		CauseTimeout:   {"timeout", true, true},
		CauseDNS:       {"dns", true, true},
		CauseConnect:   {"connect", true, true},
		CauseTLS:       {"tls", true, true},
		CauseBlocked:   {"blocked", false, true},
		CauseProxy:     {"proxy", false, true},
		CauseSettings:  {"settings", false, true},
		CauseInternal:  {"other", false, true},
	}
	for cause := range Cause(len(causeLabels)) {
		want, ok := tests[cause]
		failure := SendError{Cause: cause}
		if !ok || cause.String() != want.label || cause.Counts() != want.counts || failure.outage() != want.outage {
			t.Errorf("cause %d = %s, counts %t, outage %t, want %+v", cause, cause, cause.Counts(), failure.outage(), want)
		}
		failure.Final = true
		if failure.outage() {
			t.Errorf("a final failure by %s is an outage, want none: it is about the event", cause)
		}
	}
}

func TestStatusCause(t *testing.T) {
	for status, want := range map[int]string{
		101: "other", 300: "3xx", 399: "3xx", 400: "4xx", 410: "410", 422: "4xx", 429: "429", 499: "4xx", 500: "5xx", 599: "5xx", 600: "other",
	} {
		if got := StatusCause(status); got.String() != want {
			t.Errorf("StatusCause(%d) = %s, want %s", status, got, want)
		}
	}
}
