// Package tiwsim simulates the Tencent Interactive Whiteboard (TIW) service: an HTTP handler
// that answers DescribeWhiteboardPush for scripted pushes, and injects faults.
//
// It checks a request as the API 3.0 does (signature TC3-HMAC-SHA256, common parameters, body)
// and refuses with the same codes. Answers vary wherever the real service may: in the order of
// fields, and whether a missing value is null, left out, or empty. So a client cannot come to
// depend on details that the API does not promise.
//
// It is stricter than the real service, to show faults of a client early:
//
//   - The limit holds in every sliding second, not by the calendar second. A request counts
//     when it arrives, before it is checked.
//   - Only POST with application/json is served, the region must be ap-singapore, and the path
//     must be "/".
//   - Names of parameters are case-sensitive, and unknown ones are refused.
//   - A session token sent for an account without one is refused.
//   - Bodies above 64 KiB and headers above 16 KiB are refused.
//
// A [Service] is also an [http.RoundTripper], for tests inside a synctest bubble,
// where sockets cannot be used.
package tiwsim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config is a scenario, also in the TOML file of `pushwatch sim`, such as:
//
//	latency = "20ms"
//
//	[[accounts]]
//	name = "school"
//	secret_id = "AKIDschool"
//	secret_key = "key"
//	sdk_app_ids = [1400000001]
//
//	[[tasks]]                       # 30 classes that begin within 5 minutes
//	sdk_app_id = 1400000001
//	task_id = "class-{n}"
//	count = 30
//	spread = "5m"
//	prepared_for = "3s"
//	pushing_for = "45m"
//	exceptions = ["10m", "12m"]
//
//	[[faults]]                      # the API is down for a minute
//	kind = "http"
//	from = "10m"
//	for = "1m"
//
//	[[tasks]]                       # a push with a life of its own
//	sdk_app_id = 1400000001
//	task_id = "odd"
//	prepared_for = "3s"
//	[[tasks.faults]]                # from its 10th second its answers are unreadable
//	kind = "fields"
//	from = "10s"
//	fields = { Status = '{"Value": "PUSHING"}', RoomId = '8.80528E5' }
//	omit = ["RequestId"]
type Config struct {
	// Accounts has at least one account.
	Accounts []Account `toml:"accounts"`
	// Limit is how many requests of an account are served in any sliding second; default
	// 20, from the API page.
	Limit int `toml:"limit"`
	// CountRejected makes refused requests use up the limit too. The real service is said
	// not to count them.
	CountRejected bool `toml:"count_rejected"`
	// Latency and LatencyMax bound the random delay of answers; a zero LatencyMax means
	// always Latency.
	Latency    Duration `toml:"latency"`
	LatencyMax Duration `toml:"latency_max"`
	// RegionError is the code for a wrong region: UnsupportedRegion, the default, from the
	// common error codes, or InvalidParameterValue, from public reports.
	RegionError string `toml:"region_error"`
	// Seed makes jitter, latencies, faults and shapes repeatable for the same requests in
	// the same order.
	Seed uint64 `toml:"seed"`
	// Tasks are the scripted lives. Their times count from [New].
	Tasks []Life `toml:"tasks"`
	// Faults are the scripted faults. Their times count from [New].
	Faults []Fault `toml:"faults"`
}

// Account is a set of credentials with its own limit.
type Account struct {
	Name      string  `toml:"name"`
	SecretID  string  `toml:"secret_id"`
	SecretKey string  `toml:"secret_key"`
	Token     string  `toml:"token"` // expected in X-TC-Token; empty: none may be sent
	SDKAppIDs []int64 `toml:"sdk_app_ids"`
}

// Duration is a time.Duration with the text form "90s" or "1h30m".
type Duration time.Duration

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String formats d as [time.Duration.String] does.
func (d Duration) String() string { return time.Duration(d).String() }

// Service is the simulated service. It is safe for concurrent use and starts no goroutines.
type Service struct {
	limit         int
	countRejected bool
	latency       time.Duration
	latencySpan   time.Duration
	regionError   string
	bySecretID    map[string]*account
	unknown       *account // of all unknown secret ids

	mu           sync.Mutex
	rng          *rand.Rand
	tasks        map[taskKey]*task
	faults       []*activeFault
	tasksChanged chan struct{} // closed and replaced when tasks are added or removed
}

type taskKey struct {
	sdkAppID int64
	taskID   string
}

// account is an Account with its counters, guarded by Service.mu.
type account struct {
	Account
	served window // arrivals that use up the limit
	all    window // all arrivals
	stats  AccountStats
}

// New returns a service whose lives begin now. The error joins all faults of the config, each
// with the field, its value, and what is valid.
func New(config Config) (*Service, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Service{
		limit:         cmp.Or(config.Limit, DefaultLimit),
		countRejected: config.CountRejected,
		latency:       time.Duration(config.Latency),
		latencySpan:   time.Duration(max(config.LatencyMax-config.Latency, 0)),
		regionError:   cmp.Or(config.RegionError, regionErrors[0]),
		bySecretID:    make(map[string]*account, len(config.Accounts)),
		unknown:       newAccount(Account{}),
		rng:           rand.New(rand.NewPCG(config.Seed, 0)),
		tasks:         make(map[taskKey]*task),
		tasksChanged:  make(chan struct{}),
	}
	for _, a := range config.Accounts {
		s.bySecretID[a.SecretID] = newAccount(a)
	}
	now := time.Now()
	var errs []error
	for i, life := range config.Tasks {
		if err := s.add(life, now); err != nil {
			errs = append(errs, fmt.Errorf("tasks[%d].%w", i, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, f := range config.Faults {
		s.faults = append(s.faults, newActiveFault(f, now))
	}
	return s, nil
}

func newAccount(a Account) *account {
	return &account{Account: a, stats: AccountStats{Results: make(map[string]int)}}
}

// ServeHTTP answers one request. Like the real service it refuses with HTTP 200 and an Error in
// the body.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth, authErr := parseAuthorization(r.Header.Get("Authorization"))
	account, arrived, refusal := s.arrive(auth.secretID)

	var asked taskKey
	if refusal == nil {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		refusal = cmp.Or(checkCommon(r, body), authErr)
		if refusal == nil {
			refusal = account.authenticate(r, body, auth, arrived)
		}
		if refusal == nil {
			asked, refusal = account.parse(r, body, s.regionError)
		}
	}

	reply := s.decide(account, arrived, asked, refusal)
	if !sleep(r.Context(), reply.delay) {
		return
	}
	reply.write(w, r)
}

// arrive counts a request and returns the error if it exceeds the limit. It takes the time under
// the lock, so that arrivals are in order.
func (s *Service) arrive(secretID string) (*account, time.Time, *APIError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	a := s.bySecretID[secretID]
	if a == nil {
		a = s.unknown
	}
	a.stats.Requests++
	a.stats.MaxInSecond = max(a.stats.MaxInSecond, a.all.count(now)+1)
	a.all.add(now)
	if a == s.unknown {
		return a, now, nil
	}

	refused := a.served.count(now) >= s.lowestLimit(a.Name, now)
	if !refused || s.countRejected {
		a.served.add(now)
	}
	if refused {
		return a, now, throttled("RequestLimitExceeded")
	}
	return a, now, nil
}

// decide returns the reply to a checked request.
func (s *Service) decide(a *account, now time.Time, asked taskKey, refusal *APIError) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := reply{delay: s.latency}
	if s.latencySpan > 0 {
		reply.delay += time.Duration(s.rng.Int64N(int64(s.latencySpan) + 1))
	}
	reply.fault = s.faultFor(a.Name, asked, now)

	answer := Answer{Err: refusal}
	if refusal == nil {
		if f := reply.fault; f != nil && f.apiError() != nil {
			answer.Err = f.apiError()
		} else {
			answer = s.answerTo(asked, now)
			if f != nil && f.Kind == FaultFields {
				answer.Fields, answer.Omit = f.Fields, f.Omit
			}
		}
	}
	reply.body = s.render(answer)

	result := "ok"
	switch {
	case reply.fault != nil && reply.fault.apiError() == nil:
		result = reply.fault.Kind
	case answer.Err != nil:
		result = answer.Err.Code
	}
	a.stats.Results[result]++
	return reply
}

// answerTo returns the answer for a task at a time.
func (s *Service) answerTo(asked taskKey, now time.Time) Answer {
	t := s.tasks[asked]
	if t == nil {
		return Answer{Err: errTaskNotFound}
	}
	t.stats.observe(now)
	if t.override != nil {
		return *t.override
	}
	return t.answer(now)
}

// Add begins a scripted life now.
func (s *Service) Add(life Life) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	c := checker{errs: &errs}
	life.validate(c)
	served := func(a *account) bool { return slices.Contains(a.SDKAppIDs, life.SDKAppID) }
	c.check(slices.ContainsFunc(slices.Collect(maps.Values(s.bySecretID)), served), "sdk_app_id", life.SDKAppID, "an application of one of the accounts")
	if len(errs) == 0 {
		errs = append(errs, s.add(life, time.Now()))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("add task: %w", err)
	}
	s.notifyTasks()
	return nil
}

// add adds all copies of a valid life, or none.
func (s *Service) add(life Life, now time.Time) error {
	copies := life.copies(now, s.rng)
	for _, t := range copies {
		if s.tasks[t.key] != nil {
			return wrong("task_id", t.key.taskID, "an id that is not taken in its application")
		}
	}
	for _, t := range copies {
		s.tasks[t.key] = t
	}
	return nil
}

// Put sets the answer for a task, which need not exist, in place of its script. The caller must
// not change what answer points to.
func (s *Service) Put(sdkAppID int64, taskID string, answer Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := taskKey{sdkAppID, taskID}
	t := s.tasks[key]
	if t == nil {
		t = &task{key: key}
		s.tasks[key] = t
	}
	t.override, t.life = &answer, nil
	s.notifyTasks()
}

// Remove removes a task and its stats.
func (s *Service) Remove(sdkAppID int64, taskID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tasks, taskKey{sdkAppID, taskID})
	s.notifyTasks()
}

func (s *Service) notifyTasks() {
	close(s.tasksChanged)
	s.tasksChanged = make(chan struct{})
}

// sleep waits for d; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
