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

// Config configures a [Watcher]. A zero field means its default.
type Config struct {
	Settings

	Instance string // names this installation in the events
	Registry watcher.Registry

	// Route returns the names of the notifiers of an event.
	Route func(*watcher.Event) []string

	Log     *zap.Logger           // default: none
	Metrics prometheus.Registerer // default: none
}

// Settings are the part of [Config] that [Watcher.Reconfigure] can change.
type Settings struct {
	Accounts []AccountConfig
	Rules    watcher.Rules

	MaxStaleness   time.Duration // a live task is polled at least this often, where the limit allows; default 1 m
	MinInterval    time.Duration // and at most this often; default 1 s
	Thrift         time.Duration // interval of polls of a push with one change an hour, for which others are scaled; 0: use the whole quota
	RequestTimeout time.Duration // of one request and its answer; default 5 s
	BlindAfter     time.Duration // invisible for this long is blind; default 1 m
}

// AccountConfig configures one account.
type AccountConfig struct {
	Name              string
	SDKAppIDs         []int64 // its applications; each belongs to one account
	RequestsPerSecond float64 // 0 < n <= 20; default 20
	Cloud             watcher.Cloud

	CallbackKey       func() (string, error) // reads the key that TIW signs callbacks with; nil: Sign is not checked
	RegisterCallbacks bool                   // a callback about an unknown task registers it
}

// A plan is Settings with defaults. It is immutable.
type plan struct {
	Settings
	byApp   map[int64]AccountConfig
	timeout error // cause of a request's timeout
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

// alike reports whether an account runs the same under p with settings a as under q with b.
func (p *plan) alike(q *plan, a, b AccountConfig) bool {
	return p.Rules == q.Rules && p.MaxStaleness == q.MaxStaleness && p.MinInterval == q.MinInterval && p.Thrift == q.Thrift &&
		p.RequestTimeout == q.RequestTimeout && p.BlindAfter == q.BlindAfter &&
		a.Cloud == b.Cloud && a.RequestsPerSecond == b.RequestsPerSecond
}

// applications lists the configured applications for an error.
func (p *plan) applications() string {
	const most = 10
	apps := slices.Sorted(maps.Keys(p.byApp))
	text := fmt.Sprint(apps[:min(most, len(apps))])
	if len(apps) > most {
		text += fmt.Sprintf(" and %d more", len(apps)-most)
	}
	return text
}
