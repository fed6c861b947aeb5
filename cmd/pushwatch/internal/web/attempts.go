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

// Wrong tokens are answered at this pace, after a burst.
const (
	attemptsPerAddress = 1 // a second
	burstPerAddress    = 10
	attemptsOverall    = 20 // a second
	burstOverall       = 100

	// attemptPatience is how long the answer to a wrong token is delayed at most. Where
	// its turn comes later, it is refused.
	attemptPatience = 5 * time.Second
	// maxAttemptAddresses is how many addresses are known to have sent wrong tokens.
	maxAttemptAddresses = 1000
)

// attempts slows down wrong tokens, for each address and overall, and logs their number
// once a minute. A right token is never slowed down: others at the same address, such as
// behind the same proxy, cannot keep it out. Guessing is hopeless by the length of tokens;
// this keeps it from taking the processor and the log.
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

// failed counts a wrong token and waits until it may be answered. It reports whether it
// may: else it has answered that there are too many.
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

// reserve returns after how long a wrong token of an address may be answered. It takes up
// no turn where that is longer than anybody waits: the lock keeps others from reserving
// behind a turn that is given back, and an address beyond its own pace takes none overall.
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

// limiter returns the limiter of an address. Those of addresses that have been quiet are
// dropped, or where there are none all, before there are too many. The caller of reserve
// locks.
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
	if len(a.addresses) >= maxAttemptAddresses { // then the limit overall is reached too
		clear(a.addresses)
	}
	l := rate.NewLimiter(attemptsPerAddress, burstPerAddress)
	a.addresses[from] = l
	return l
}

// clientAddress is the address that a request comes from, as connections are counted by.
func clientAddress(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return network(from.Addr())
}
