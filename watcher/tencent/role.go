package tencent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"pushwatch/watcher"
)

const (
	// metadataURL is where an instance finds its role's name and, under the name,
	// the role's keys: https://cloud.tencent.com/document/product/213/4934.
	metadataURL = "http://metadata.tencentyun.com/latest/meta-data/cam/security-credentials/"

	// renewTimeout is for all requests of a renewal. The service is next door; a
	// poll that waits for the first keys shall learn why there are none.
	renewTimeout = 3 * time.Second
	// renewPause is the least time between a failed renewal and the next.
	renewPause = 5 * time.Second
)

// roleName is what CAM allows as one.
var roleName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

// A Role gives the keys of the role that is bound to the CVM instance on which
// the program runs. They are temporary, and kept. After about two thirds of the
// time they have left they are renewed beside the requests, which go on with the
// old ones: should the metadata service fail, a third of the time is left to try
// again. Only where there are no valid keys do requests wait for a renewal.
//
// The zero value is ready for use. A Role prints as ***, and must not be copied.
type Role struct {
	// Name is the role's; empty: the one that the metadata service names.
	Name string
	// URL is the folder of the roles in the metadata service; empty: Tencent
	// Cloud's. No proxy is used for it, and no redirect followed.
	URL string

	transport http.RoundTripper // used by one renewal at a time; nil before the first

	mu       sync.Mutex
	keys     Keys
	expires  time.Time     // of keys, by the wall clock
	renewAt  time.Time     // when the next renewal is due
	err      error         // why the last renewal failed
	renewing chan struct{} // closed when the renewal under way is over; nil: none is
}

// Format implements [fmt.Formatter], for every verb alike.
func (r *Role) Format(f fmt.State, verb rune) { Keys{}.Format(f, verb) }

// Keys implements [Credentials].
func (r *Role) Keys(ctx context.Context) (Keys, error) {
	for {
		keys, renewing, err := r.current(ctx)
		if renewing == nil {
			return keys, err
		}
		select {
		case <-renewing:
		case <-ctx.Done():
			return Keys{}, context.Cause(ctx)
		}
	}
}

// current returns the keys, or why there are none; or else the renewal to wait
// for. It begins one that is due. A renewal outlives the request that began it:
// others wait for it too.
func (r *Role) current(ctx context.Context) (keys Keys, renewing <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	valid := now.Before(r.expires)
	// Keys expire before their renewal is due only where the clock was set, or
	// the machine slept.
	due := !now.Before(r.renewAt) || !valid && r.err == nil
	if due && r.renewing == nil {
		r.renewing = make(chan struct{})
		go r.renew(context.WithoutCancel(ctx))
	}
	switch {
	case valid:
		return r.keys, nil, nil
	case r.renewing != nil:
		return Keys{}, r.renewing, nil
	default:
		return Keys{}, nil, r.err
	}
}

// renew asks for new keys, and notes them or why there are none.
func (r *Role) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, renewTimeout, fmt.Errorf("no answer within %v", renewTimeout))
	defer cancel()
	keys, expires, err := r.fetch(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	pause := renewPause
	if err == nil {
		r.keys, r.expires = keys, expires
		pause = max(expires.Sub(now)*3/5, time.Second) // keys at their end are not asked for in a loop
	}
	r.err = err
	r.renewAt = now.Add(pause + rand.N(pause/4)) // below 3/4 of the time left; apart from other instances
	close(r.renewing)
	r.renewing = nil
}

// fetch asks the metadata service for keys, and until when they are valid. Its
// errors quote nothing of an answer but a code, since answers hold keys.
func (r *Role) fetch(ctx context.Context) (Keys, time.Time, error) {
	folder := strings.TrimSuffix(cmp.Or(r.URL, metadataURL), "/") + "/"
	name := r.Name
	if name == "" {
		text, err := r.get(ctx, folder)
		if err != nil {
			return Keys{}, time.Time{}, fmt.Errorf("look up the instance's role: %w", err)
		}
		name = strings.TrimSpace(string(text))
	}
	if !roleName.MatchString(name) {
		return Keys{}, time.Time{}, errors.New("look up the instance's role: its name is not one")
	}
	text, err := r.get(ctx, folder+name)
	if err != nil {
		return Keys{}, time.Time{}, fmt.Errorf("get keys of role %s: %w", name, err)
	}
	keys, expires, err := parseRole(text)
	if err != nil {
		return Keys{}, time.Time{}, fmt.Errorf("get keys of role %s: %w", name, err)
	}
	return keys, expires, nil
}

// get returns the answer to one request, whole, and of status 200.
func (r *Role) get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if r.transport == nil {
		r.transport = newTransport(nil, nil)
	}
	response, err := r.transport.RoundTrip(request)
	switch fault, ok := errors.AsType[*watcher.CloudError](err); {
	case ok && fault.Code == "http 404":
		return nil, errors.New("http 404: no such role is bound to the instance")
	case ok:
		return nil, errors.New(fault.Code) // its message quotes the answer
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// parseRole reads the metadata service's answer about a role.
func parseRole(text []byte) (Keys, time.Time, error) {
	var answer struct {
		Code                             string
		TmpSecretID, TmpSecretKey, Token string
		ExpiredTime                      int64 // Unix seconds
	}
	if json.Unmarshal(text, &answer) != nil { // its error can quote the text
		return Keys{}, time.Time{}, errors.New("the answer is not the JSON of a role's keys")
	}
	keys := Keys{SecretID: answer.TmpSecretID, SecretKey: answer.TmpSecretKey, Token: answer.Token}
	expires := time.Unix(answer.ExpiredTime, 0)
	switch {
	case answer.Code != "Success":
		return Keys{}, time.Time{}, fmt.Errorf("the answer's code is %q, want Success", sanitize(answer.Code, keys.secrets()))
	case keys.Token == "":
		return Keys{}, time.Time{}, errors.New("token: is empty")
	case !time.Now().Before(expires):
		return Keys{}, time.Time{}, fmt.Errorf("they expired at %s by the clock here", expires.UTC().Format(time.RFC3339))
	}
	return keys, expires, keys.validate()
}
