package transport

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"

	"pushwatch/notify"
)

// Dial opens a connection to a host and port under the rules of an attempt, through the
// configured proxy, if any; a proxy from the environment is for HTTP only. Pass its error
// to [Transport.Failed].
func (t *Transport) Dial(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err == nil {
		err = t.judge(host)
	}
	var proxy *url.URL
	if err == nil && !t.config.ProxyURL.IsZero() {
		proxy, err = t.proxy(nil)
	}
	if err != nil {
		return nil, err
	}
	return t.through(ctx, proxy, address)
}

// through opens a connection to address, through a proxy unless it is nil.
func (t *Transport) through(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	if proxy == nil {
		return t.dialer.DialContext(ctx, "tcp", address)
	}
	conn, err := t.dialProxy(ctx, proxy)
	if err == nil {
		conn, err = tunnel(ctx, conn, proxy, address)
	}
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	return conn, nil
}

// TLS returns the TLS settings for connections to host.
func (t *Transport) TLS(host string) (*tls.Config, error) {
	client, err := t.current()
	if err != nil {
		return nil, err
	}
	config := client.tls.Clone()
	config.ServerName = host
	return config, nil
}

// dialProxy opens a connection to the proxy itself.
func (t *Transport) dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: openTimeout}
	if proxy.Scheme != "https" {
		return dialer.DialContext(ctx, "tcp", hostPort(proxy))
	}
	config, err := t.TLS(proxy.Hostname())
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", hostPort(proxy))
}

// tunnel asks the proxy at the other end of conn to connect it to address (HTTP
// CONNECT). If that fails it closes conn.
func tunnel(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	err := request.Write(conn)
	var response *http.Response
	if err == nil {
		// What follows the header may come from the receiver already, and stays in conn.
		response, err = http.ReadResponse(bufio.NewReader(io.LimitReader(byByte{conn}, maxAnswerHeader)), request)
	}
	if err == nil {
		err = checkConnect(ctx, proxy, request, response)
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return conn, nil
}

// byByte returns single bytes, so that a buffered reader over it reads no further than
// it has to.
type byByte struct{ io.Reader }

func (r byByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// Check reports whether the receiver at u can be reached. It opens a connection under the
// rules of an attempt, through the proxy if one is set, with the TLS handshake if u is
// https, and sends nothing over it. alias and hidden are as in a [Request]. The error is a
// [*notify.SendError].
func (t *Transport) Check(ctx context.Context, u *url.URL, alias string, hidden ...string) error {
	parent := ctx
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	if err := t.reach(ctx, u); err != nil {
		return t.Failed(parent, err, cmp.Or(alias, u.Host), append(hidden, secrets(u)...)...)
	}
	return nil
}

// reach opens a connection to u's host and closes it. A request without TLS uses no
// tunnel, so for a proxied one reach connects to the proxy only.
func (t *Transport) reach(ctx context.Context, u *url.URL) error {
	proxy, err := t.proxy(u)
	if err == nil {
		err = t.judge(u.Hostname())
	}
	if err != nil {
		return err
	}
	if proxy != nil && u.Scheme == "http" {
		conn, err := t.dialProxy(ctx, proxy)
		if err != nil {
			return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
		}
		return conn.Close()
	}
	conn, err := t.through(ctx, proxy, hostPort(u))
	if err != nil {
		return err
	}
	defer conn.Close()
	if u.Scheme != "https" {
		return nil
	}
	config, err := t.TLS(u.Hostname())
	if err != nil {
		return err
	}
	return tls.Client(conn, config).HandshakeContext(ctx)
}

// Failed turns an error of a connection into the failure of an attempt. ctx is the
// attempt's context without its timeout, host what the error calls the receiver; hidden
// texts are masked.
func (t *Transport) Failed(ctx context.Context, err error, host string, hidden ...string) *notify.SendError {
	return failure{parent: ctx, err: err, host: host, connected: true, hide: mask(hidden, nil)}.classify()
}
