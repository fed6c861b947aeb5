package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pushwatch/watcher"
)

// Config says what a [Watcher] watches and how. A zero field is its default.
type Config struct {
	Settings

	Instance string // names this installation in the events
	Registry watcher.Registry

	// Route names the notifiers that an event goes to, at the time it is saved.
	Route func(*watcher.Event) []string

	Log     *zap.Logger           // default: none
	Metrics prometheus.Registerer // default: none
}

// Settings is what of a [Config] can change while the watcher runs: see
// [Watcher.Reconfigure].
type Settings struct {
	Accounts []AccountConfig
	Rules    watcher.Rules

	MaxStaleness   time.Duration // every live task is due this often; default 1 m
	MinInterval    time.Duration // and polled no more often than this; default 1 s
	Thrift         time.Duration // a push with a change an hour is polled this often, the others as they deserve; 0: the whole quota is used
	RequestTimeout time.Duration // of one request, its answer included; default 5 s
	BlindAfter     time.Duration // what is invisible for this long is reported as blind; default 1 m
}

// AccountConfig is one set of Tencent Cloud credentials and what it is used for.
type AccountConfig struct {
	Name              string
	SDKAppIDs         []int64 // its applications; each belongs to exactly one account
	RequestsPerSecond float64 // 0 < n <= 20; default 20
	Cloud             watcher.Cloud

	// CallbackKey reads the key that TIW signs its callbacks with; nil: none is
	// set, and none is asked for.
	CallbackKey func() (string, error)
	// RegisterCallbacks registers a task that TIW calls back about and nobody has
	// registered.
	RegisterCallbacks bool
}

// A plan is Settings with their defaults. It does not change: other settings make
// another plan.
type plan struct {
	Settings
	byApp   map[int64]AccountConfig
	timeout error // what a request without an answer ends with
}

func newPlan(settings Settings) *plan {
	p := &plan{Settings: settings, byApp: make(map[int64]AccountConfig)}
	p.Rules = p.Rules.WithDefaults()
	p.MaxStaleness = cmp.Or(p.MaxStaleness, time.Minute)
	p.MinInterval = cmp.Or(p.MinInterval, time.Second)
	p.RequestTimeout = cmp.Or(p.RequestTimeout, 5*time.Second)
	p.BlindAfter = cmp.Or(p.BlindAfter, time.Minute)
	p.timeout = fmt.Errorf("no answer within %s", p.RequestTimeout)
	p.Accounts = slices.Clone(settings.Accounts)
	for i := range p.Accounts {
		a := &p.Accounts[i]
		a.RequestsPerSecond = cmp.Or(a.RequestsPerSecond, watcher.MaxRequestsPerSecond)
		for _, app := range a.SDKAppIDs {
			p.byApp[app] = *a
		}
	}
	return p
}

// account returns the settings of an account.
func (p *plan) account(name string) (AccountConfig, bool) {
	i := slices.IndexFunc(p.Accounts, func(a AccountConfig) bool { return a.Name == name })
	if i < 0 {
		return AccountConfig{}, false
	}
	return p.Accounts[i], true
}

// alike reports whether an account's engine works the same in p and q, in which
// its settings are a and b.
func (p *plan) alike(q *plan, a, b AccountConfig) bool {
	return p.Rules == q.Rules && p.MaxStaleness == q.MaxStaleness && p.MinInterval == q.MinInterval && p.Thrift == q.Thrift &&
		p.RequestTimeout == q.RequestTimeout && p.BlindAfter == q.BlindAfter &&
		a.Cloud == b.Cloud && a.RequestsPerSecond == b.RequestsPerSecond
}

// applications lists the configured applications, for an error's text.
func (p *plan) applications() string {
	const most = 10
	apps := slices.Sorted(maps.Keys(p.byApp))
	text := fmt.Sprint(apps[:min(most, len(apps))])
	if len(apps) > most {
		text += fmt.Sprintf(" and %d more", len(apps)-most)
	}
	return text
}
