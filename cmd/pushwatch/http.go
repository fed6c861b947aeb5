package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"pushwatch/watcher/setting"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"pushwatch/cmd/pushwatch/internal/web"
)

// A listener is the API's listener, with TLS if the settings have a certificate.
type listener struct {
	net.Listener
	certificate atomic.Pointer[tls.Certificate]
}

// present reads the certificate for new connections, and reports whether it changed.
func (l *listener) present(s httpSettings) (changed bool, err error) {
	certificate, err := setting.KeyPair(s.TLSCertFile, s.TLSKeyFile)
	if err != nil {
		return false, usagef("read certificate http.tls_cert_file and http.tls_key_file: %w", err)
	}
	before := l.certificate.Swap(&certificate)
	return before == nil || !slices.EqualFunc(before.Certificate, certificate.Certificate, bytes.Equal), nil
}

// listen opens the listen address of the API.
func listen(s httpSettings, log *zap.Logger) (*listener, error) {
	network, address := "tcp", s.Listen
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		network, address = "unix", path
		if c, err := net.Dial("unix", path); err == nil { // otherwise a crashed process left it
			c.Close()
			return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another address", s.Listen)
		}
		if err := checkSocket(path); err != nil {
			return nil, err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("listen on %s: %w", s.Listen, err)
		}
	}
	l, err := bind(network, address)
	if err != nil {
		return nil, err
	}
	l = web.NewListener(l, log)
	out := &listener{Listener: l}
	if s.TLSCertFile == "" {
		return out, nil
	}
	if _, err := out.present(s); err != nil {
		l.Close()
		return nil, err
	}
	out.Listener = tls.NewListener(l, &tls.Config{
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return out.certificate.Load(), nil },
	})
	return out, nil
}

// bind opens an address. A fault that a restart does not fix is a [usageError].
func bind(network, address string) (net.Listener, error) {
	if network == "tcp" {
		if _, err := hostOf(address); err != nil {
			return nil, usagef(`listen on %s: %w: want host and port, such as "127.0.0.1:8465"`, address, err)
		}
	}
	l, err := net.Listen(network, address)
	if err == nil {
		return l, nil
	}
	if network == "unix" {
		address = "unix:" + address
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err // omits the address, which the messages below have
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another address", address)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, usagef("listen on %s: %w: want an address that this user may open", address, err)
	default: // possibly temporary, such as a name server that does not answer
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
}

// hostName is the form of host names.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// hostOf returns the host of a listen address; empty: all interfaces. Its error says why
// the address is malformed.
func hostOf(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return "", errors.New("malformed host name")
	}
	return host, nil
}

// isLoopback reports whether a host can be reached from this machine only.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// urlOf returns the URL of a listener for clients on this machine.
func urlOf(l net.Listener) string {
	address := l.Addr().String()
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
	}
	return "http://" + address
}

// serveHTTP serves until ctx ends, and then lets requests in flight finish.
func (d *daemon) serveHTTP(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if d.server.Shutdown(grace) != nil {
			d.server.Close()
		}
	}()
	if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	<-stopped
	return nil
}
