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

	"golang.org/x/sync/singleflight"

	"pushwatch/watcher"
)

const (
	// metadataURL lists the instance's role; the role's keys are below it, by name:
	// https://cloud.tencent.com/document/product/213/4934.
	metadataURL = "http://metadata.tencentyun.com/latest/meta-data/cam/security-credentials/"

	// renewTimeout is for all requests of a renewal. The service is close, and a poll may
	// be waiting for the first keys.
	renewTimeout = 3 * time.Second
	// renewPause is the least time after a failed renewal.
	renewPause = 5 * time.Second
)

// roleName matches what CAM allows.
var roleName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

// A Role provides the temporary keys of the role that is bound to the CVM instance on which the
// program runs. They are cached, and renewed in the background after about two thirds of their
// lifetime, so that a third is left to retry if the metadata service fails. Requests wait for a
// renewal only without valid keys.
//
// The zero value is ready for use. A Role prints as ***, and must not be copied.
type Role struct {
	// Name is the role; empty: the one that the metadata service lists.
	Name string
	// URL is the folder of roles in the metadata service; empty: Tencent Cloud's. Requests
	// to it use no proxy and follow no redirect.
	URL string

	transport http.RoundTripper // used by one renewal at a time; nil: not made yet
	renewals  singleflight.Group

	mu      sync.Mutex
	keys    Keys
	expires time.Time // of keys, by the wall clock
	renewAt time.Time // when the next renewal is due
	err     error     // why the last renewal failed
}

// Format implements [fmt.Formatter].
func (r *Role) Format(f fmt.State, verb rune) { Keys{}.Format(f, verb) }

// Keys implements [Credentials]. It starts a renewal that is due, which does not end with ctx,
// since other requests wait for it too.
func (r *Role) Keys(ctx context.Context) (Keys, error) {
	r.mu.Lock()
	now := time.Now()
	keys, err, valid := r.keys, r.err, now.Before(r.expires)
	// Keys expire before their renewal is due only if the clock was set or the machine slept.
	due := !now.Before(r.renewAt) || !valid && err == nil
	r.mu.Unlock()
	var renewal <-chan singleflight.Result
	if due {
		renewal = r.renewals.DoChan("", func() (any, error) { return r.renew(context.WithoutCancel(ctx)) })
	}
	switch {
	case valid:
		return keys, nil
	case !due:
		return Keys{}, err
	}
	select {
	case renewed := <-renewal:
		return renewed.Val.(Keys), renewed.Err
	case <-ctx.Done():
		return Keys{}, context.Cause(ctx)
	}
}

// renew fetches new keys, stores them, or the error, and returns both.
func (r *Role) renew(ctx context.Context) (Keys, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, renewTimeout, fmt.Errorf("no answer within %v", renewTimeout))
	defer cancel()
	keys, expires, err := r.fetch(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	pause := renewPause
	if err == nil {
		r.keys, r.expires = keys, expires
		pause = max(expires.Sub(now)*3/5, time.Second) // not in a loop near the end
	}
	r.err = err
	r.renewAt = now.Add(pause + rand.N(pause/4)) // below 3/4 of the time left; jitter keeps instances apart
	return keys, err
}

// fetch returns the keys from the metadata service and their expiry. Its errors quote only an
// answer's code, since answers hold keys.
func (r *Role) fetch(ctx context.Context) (keys Keys, expires time.Time, err error) {
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
	if err == nil {
		keys, expires, err = parseRole(text)
	}
	if err != nil {
		return Keys{}, time.Time{}, fmt.Errorf("get keys of role %s: %w", name, err)
	}
	return keys, expires, nil
}

// get returns the body of an answer with status 200.
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

// parseRole parses the metadata service's answer about a role.
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
