// Package tencent asks Tencent Cloud what it knows of whiteboard pushes: it is
// [watcher.Cloud] over the common module of Tencent's Go SDK.
//
// The SDK signs requests and checks that answers are JSON. The rest is ours, since a
// poller that runs for months must be stricter than the SDK:
//
//   - One Describe is at most one request at the server. The SDK does not
//     repeat, and neither may net/http, whatever happens to a kept connection.
//   - An answer is read whole, within a limit, before the SDK sees it, so that
//     a broken connection is never mistaken for broken JSON.
//   - Redirects are refused: they would carry the signature elsewhere.
//   - What the service says is shortened, made one line, and freed of the
//     account's secrets before it becomes part of an error.
//
// A field that cannot be read is taken for null; a Status that can be read is always
// used. An answer without a readable Status is [watcher.Transient] and never a push
// without one, unless it clearly has none: that means a failure to a watcher.
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

// What an unset field of [Config] means: TIW's international site, which the
// API page names, and the one region it serves.
const (
	DefaultEndpoint = "https://tiw.intl.tencentcloudapi.com"
	DefaultRegion   = "ap-singapore"
)

// Config is what a [Client] needs to know of its account.
type Config struct {
	// Endpoint is the service's scheme and host; empty: [DefaultEndpoint]. Plain
	// http is allowed to a loopback host only.
	Endpoint string
	// Region is sent with each request; empty: [DefaultRegion].
	Region string
	// Credentials are asked before each request: [Static], [Secrets], [*Role],
	// [Profile], or others. Required.
	Credentials Credentials
	// ProxyURL is the proxy on the way to the service, read at each request; unset: the
	// environment's HTTPS_PROXY and NO_PROXY, which never send a loopback endpoint's
	// requests through a proxy.
	ProxyURL setting.Secret
	// CAFile holds the certificates, in PEM, that may vouch for the service, and for a
	// proxy that is reached by https, in place of the system's. It is read again when it
	// changes. Empty: the system's.
	CAFile string
	// MaySend is asked at the last moment before bytes of a request are written; where
	// it says no, they are not, and the request fails. Nil: it is always allowed.
	MaySend func() bool
	// Log gets one line for each field that could not be read in an answer, the first
	// time; nil: none. Its fields name the account.
	Log *zap.Logger
	// CountUnreadable is called with the name of each field that could not be read in
	// an answer; nil: they are not counted. There are some twenty names.
	CountUnreadable func(field string)
}

// A Client asks for pushes with the credentials of one account. It implements
// [watcher.Cloud].
type Client struct {
	sdk         common.Client // a template without credentials; each request signs with a copy
	credentials Credentials
	transport   *transport

	log             *zap.Logger
	countUnreadable func(field string)

	mu     sync.Mutex
	logged map[string]bool // the fields that log has a line of
}

var _ watcher.Cloud = (*Client)(nil)

// New returns a client. It opens no connection. Its error joins every fault of
// the config: the field, its value, and what would be right.
func New(config Config) (*Client, error) {
	endpoint, err := parseEndpoint(cmp.Or(config.Endpoint, DefaultEndpoint))
	errs := []error{err}
	switch c := config.Credentials.(type) {
	case nil:
		errs = append(errs, errors.New("credentials = nil: want the account's secret id and key"))
	case Static:
		errs = append(errs, Keys(c).validate())
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

// parseEndpoint reads the scheme and host that requests go to.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: want a URL, such as %s", DefaultEndpoint) // what it is may hold a password
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

// Describe asks once what is known of a push; see [watcher.Cloud]. Beyond the
// API's own codes an error has one of these:
//
//   - "timeout", "canceled": the request was given up before its answer was whole
//   - "network": no connection, or it broke, or a proxy refused it
//   - "http 502" and the like: a gateway or a redirect answered
//   - "unreadable": the answer is not one of this API
//   - "credentials": there are none to sign with, and nothing was sent
func (c *Client) Describe(ctx context.Context, key watcher.Key) (watcher.Push, error) {
	var e exchange
	keys, err := c.keys(ctx)
	if err != nil {
		return watcher.Push{}, e.classify(ctx, err, c.secrets(keys))
	}
	push, err := c.send(e.trace(ctx), keys, key)
	if err != nil {
		return watcher.Push{}, e.classify(ctx, err, c.secrets(keys))
	}
	return push, nil
}

// secrets are what the text of an error must not show.
func (c *Client) secrets(keys Keys) []string {
	return append(keys.secrets(), c.transport.proxySecrets()...)
}

// keys returns the keys to sign with now. That there are none is an error of the
// account, unless it was ctx that ended the search for them.
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

// send makes the request and reads the answer. Request and response are new each
// time: a used response would keep the fields that the next answer lacks.
func (c *Client) send(ctx context.Context, keys Keys, key watcher.Key) (watcher.Push, error) {
	sdk := c.sdk
	sdk.WithCredential(common.NewTokenCredential(keys.SecretID, keys.SecretKey, keys.Token))
	response := new(describeResponse)
	err := sdk.Send(newDescribeRequest(ctx, key), response)
	if err != nil {
		return watcher.Push{}, err
	}
	c.reportUnreadable(key, response.unreadable)
	return response.result()
}

// reportUnreadable counts the fields that could not be read, and logs each once.
func (c *Client) reportUnreadable(key watcher.Key, fields []unreadableField) {
	if len(fields) == 0 {
		return
	}
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

// RoundTrip is the shortest round trip that the opening of a connection has shown;
// see [watcher.Cloud]. It is 0 before the first connection, and where the system
// does not show it. Where a proxy stands
// between, it is the time to the proxy, which is shorter still.
func (c *Client) RoundTrip() time.Duration {
	return time.Duration(c.transport.fastest.Load())
}
