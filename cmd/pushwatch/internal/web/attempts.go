package web

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"pushwatch/watcher/loop"
)

// The rates at which wrong tokens are answered, after a burst.
const (
	attemptsPerAddress = 1 // a second
	burstPerAddress    = 10
	attemptsOverall    = 20 // a second
	burstOverall       = 100

	// attemptPatience is the longest delay of the answer to a wrong token. If it would
	// take longer, the request is refused with 429 instead.
	attemptPatience = 5 * time.Second
	// maxAttemptAddresses is for how many addresses wrong tokens are counted.
	maxAttemptAddresses = 1000
)

// attempts rate-limits wrong tokens, per address and overall, and logs their number once a
// minute. A right token is never delayed, so that others at the same address, such as
// behind the same proxy, cannot block it. Tokens are too long to guess; this keeps guessing
// from using up the processor and the log.
type attempts struct {
	wrong   *tally
	overall *rate.Limiter

	mu        sync.Mutex
	addresses map[netip.Addr]*rate.Limiter
}

func newAttempts(log *zap.Logger) *attempts {
	return &attempts{
		wrong:     newTally(log, zap.WarnLevel, "wrong tokens"),
		overall:   rate.NewLimiter(attemptsOverall, burstOverall),
		addresses: make(map[netip.Addr]*rate.Limiter),
	}
}

// failed counts a wrong token and waits until it may be answered. It returns false if it
// has answered 429 itself, or if the client is gone.
func (a *attempts) failed(w http.ResponseWriter, r *http.Request) bool {
	from := clientAddress(r)
	a.wrong.add(zap.Stringer("address", from))
	wait := a.reserve(from)
	if wait <= attemptPatience {
		return loop.Sleep(r.Context(), wait)
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	refuse(w, r, http.StatusTooManyRequests, fmt.Sprintf("too many wrong tokens: try again in %s", wait.Round(time.Second)))
	return false
}

// reserve returns the delay until a wrong token of an address may be answered. If the delay
// exceeds attemptPatience it reserves nothing. The lock keeps others from reserving after a
// turn that is then canceled, and an address above its own rate reserves nothing overall.
func (a *attempts) reserve(from netip.Addr) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	var wait time.Duration
	for _, l := range []*rate.Limiter{a.limiter(from, now), a.overall} {
		turn := l.ReserveN(now, 1)
		defer func() {
			if wait > attemptPatience {
				turn.CancelAt(now)
			}
		}()
		if wait = max(wait, turn.DelayFrom(now)); wait > attemptPatience {
			break
		}
	}
	return wait
}

// limiter returns the limiter of an address. When there are too many, it drops those of
// quiet addresses or, if there are none, all. The caller holds a.mu.
func (a *attempts) limiter(from netip.Addr, now time.Time) *rate.Limiter {
	if l, ok := a.addresses[from]; ok {
		return l
	}
	if len(a.addresses) >= maxAttemptAddresses {
		for address, l := range a.addresses {
			if l.TokensAt(now) >= burstPerAddress {
				delete(a.addresses, address)
			}
		}
	}
	if len(a.addresses) >= maxAttemptAddresses { // the overall limit applies then too
		clear(a.addresses)
	}
	l := rate.NewLimiter(attemptsPerAddress, burstPerAddress)
	a.addresses[from] = l
	return l
}

// clientAddress returns the address of a request's client, in the form that is counted; see
// [network].
func clientAddress(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return network(from.Addr())
}
