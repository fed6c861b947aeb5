// Package tencent is a client of TIW: [watcher.Cloud] over the common module of Tencent's Go
// SDK.
//
// The SDK signs requests and checks that answers are JSON. This package is stricter, for a
// poller that runs for months:
//
//   - A Describe is at most one request. Neither the SDK nor net/http retries.
//   - An answer is read completely, within a limit, before the SDK parses it, so that a broken
//     connection does not look like broken JSON.
//   - Redirects are refused: they would send the signature elsewhere.
//   - Messages of the service are cut to one short line without secrets.
//
// An unreadable field counts as null; a readable Status is always used. An answer whose Status is
// unreadable is [watcher.Transient]. An answer that has no Status is a push without one, which
// means a failed push.
package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	"go.uber.org/zap"

	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

// The defaults of [Config]: TIW's international site and its only region, from the API page.
const (
	DefaultEndpoint = "https://tiw.intl.tencentcloudapi.com"
	DefaultRegion   = "ap-singapore"
)

// Config configures a [Client].
type Config struct {
	// Endpoint is the service's scheme and host; empty: [DefaultEndpoint]. http is allowed
	// for loopback only.
	Endpoint string
	// Region is sent with each request; empty: [DefaultRegion].
	Region string
	// Credentials provide the keys: [Keys], [Secrets], [*Role], [Profile], or others.
	// Required.
	Credentials Credentials
	// ProxyURL is the proxy to the service, read at each request. Unset: HTTPS_PROXY and
	// NO_PROXY of the environment, but no proxy for a loopback endpoint.
	ProxyURL setting.Secret
	// CAFile holds PEM certificate authorities for the service and an https proxy, read
	// again when it changes. Empty: the system's.
	CAFile string
	// MaySend is called right before bytes of a request are written; false: the request
	// fails. Nil: always allowed.
	MaySend func() bool
	// Log gets a line for each unreadable field, the first time; nil: none. The logger's
	// fields name the account.
	Log *zap.Logger
	// CountUnreadable is called with the name of each unreadable field, of some twenty
	// names; nil: none.
	CountUnreadable func(field string)
}

// A Client describes pushes with one account's credentials. It implements [watcher.Cloud].
type Client struct {
	sdk         common.Client // without credentials: each request uses a copy
	credentials Credentials
	transport   *transport

	log             *zap.Logger
	countUnreadable func(field string)

	mu     sync.Mutex
	logged map[string]bool // fields with a line in log
}

var _ watcher.Cloud = (*Client)(nil)

// New returns a client. It opens no connection. The error joins all faults of the config, each
// with the field, its value, and what is valid.
func New(config Config) (*Client, error) {
	endpoint, err := parseEndpoint(cmp.Or(config.Endpoint, DefaultEndpoint))
	errs := []error{err}
	switch c := config.Credentials.(type) {
	case nil:
		errs = append(errs, errors.New("credentials = nil: want the account's secret id and key"))
	case Keys:
		errs = append(errs, c.validate())
	case Secrets, Profile:
		config.Credentials = &debounced{source: c}
	}
	via, err := config.newTransport(endpoint)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	p := profile.NewClientProfile()
	p.DisableRegionBreaker = true // an open breaker sends requests to the mainland site
	p.Language = "en-US"
	p.HttpProfile.Scheme = endpoint.Scheme
	p.HttpProfile.Endpoint = endpoint.Host
	p.HttpProfile.ReqTimeout = 0 // the caller's context is the only deadline

	c := &Client{
		credentials: config.Credentials, transport: via,
		log: cmp.Or(config.Log, zap.NewNop()), countUnreadable: config.CountUnreadable, logged: make(map[string]bool),
	}
	c.sdk.Init(cmp.Or(config.Region, DefaultRegion)).
		WithProfile(p).
		WithRequestClient("pushwatch").
		WithHttpTransport(c.transport)
	return c, nil
}

// parseEndpoint returns the scheme and host of an endpoint.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: want a URL, such as %s", DefaultEndpoint) // its value may have a password
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	switch {
	case u.Hostname() == "" || bare.String() != strings.TrimSuffix(u.String(), "/"):
		return nil, fmt.Errorf("endpoint = %q: want a scheme and a host alone, such as %s", u.Redacted(), DefaultEndpoint)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return &bare, nil
	default:
		return nil, fmt.Errorf("endpoint = %q: want https (http is for loopback only)", u.Redacted())
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Describe implements [watcher.Cloud]. Besides the API's codes an error has one of these:
//
//   - "timeout", "canceled": ctx ended before the answer was complete
//   - "network": the connection failed, or a proxy refused it
//   - "http 502" and the like: a gateway or a redirect answered
//   - "unreadable": the answer is not of this API
//   - "credentials": there are no keys, and nothing was sent
func (c *Client) Describe(ctx context.Context, key watcher.Key) (watcher.Push, error) {
	var e exchange
	var push watcher.Push
	keys, err := c.keys(ctx)
	if err == nil {
		push, err = c.send(e.trace(ctx), keys, key)
	}
	if err != nil {
		return watcher.Push{}, e.classify(ctx, err, append(keys.secrets(), c.transport.proxySecrets()...))
	}
	return push, nil
}

// keys returns the keys to sign with. Their lack is an error of the account, unless ctx ended.
func (c *Client) keys(ctx context.Context) (Keys, error) {
	keys, err := c.credentials.Keys(ctx)
	if err == nil {
		err = keys.validate()
	}
	if err != nil && ctx.Err() == nil {
		err = &watcher.CloudError{
			Kind: watcher.DeniedAccount, Code: "credentials", Message: err.Error(), Sent: watcher.Unsent,
		}
	}
	return keys, err
}

// send sends the request and parses the answer. Each call makes a new response: a used one would
// keep fields that the next answer lacks.
func (c *Client) send(ctx context.Context, keys Keys, key watcher.Key) (watcher.Push, error) {
	sdk := c.sdk
	sdk.WithCredential(common.NewTokenCredential(keys.SecretID, keys.SecretKey, keys.Token))
	response := new(describeResponse)
	if err := sdk.Send(newDescribeRequest(ctx, key), response); err != nil {
		return watcher.Push{}, err
	}
	c.reportUnreadable(key, response.unreadable)
	return response.result()
}

// reportUnreadable counts unreadable fields, and logs each once.
func (c *Client) reportUnreadable(key watcher.Key, fields []unreadableField) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range fields {
		if c.countUnreadable != nil {
			c.countUnreadable(f.name)
		}
		if !c.logged[f.name] {
			c.logged[f.name] = true
			c.log.Warn("field of an answer cannot be read", zap.String("field", f.name), zap.String("json_type", f.jsonType),
				zap.Int64("sdk_app_id", key.SDKAppID), zap.String("task", key.TaskID),
				zap.String("hint", "the other fields are used; it is logged once and counted in pushwatch_unreadable_fields_total"))
		}
	}
}

// RoundTrip implements [watcher.Cloud]. It is 0 before the first connection, and on systems other
// than Linux. With a proxy it is the round trip to the proxy, which is shorter.
func (c *Client) RoundTrip() time.Duration {
	return time.Duration(c.transport.fastest.Load())
}
