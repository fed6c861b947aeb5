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
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// maxConnections is how many connections are served at once; others wait.
const maxConnections = 2048

// A listener is the address of the API, with TLS where the settings have it.
type listener struct {
	net.Listener
	certificate atomic.Pointer[tls.Certificate]
}

// present reads the certificate that is shown from now on, and reports whether it
// is another than before.
func (l *listener) present(s httpSettings) (changed bool, err error) {
	certificate, err := tls.LoadX509KeyPair(s.TLSCertFile, s.TLSKeyFile)
	if err != nil {
		return false, usagef("read certificate http.tls_cert_file and http.tls_key_file: %w", err)
	}
	before := l.certificate.Swap(&certificate)
	return before == nil || !slices.EqualFunc(before.Certificate, certificate.Certificate, bytes.Equal), nil
}

// listen opens the address of the API.
func listen(s httpSettings) (*listener, error) {
	network, address := "tcp", s.Listen
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		network, address = "unix", path
		if c, err := net.Dial("unix", path); err == nil { // else a crash has left it
			c.Close()
			return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another http.listen", s.Listen)
		}
		if file, err := os.Lstat(path); err == nil && file.Mode()&fs.ModeSocket == 0 {
			return nil, usagef("listen on %s: there is a file that is no socket: want a path of its own, such as unix:/run/pushwatch/api.sock", s.Listen)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("listen on %s: %w", s.Listen, err)
		}
	}
	l, err := bind(network, address, "http.listen")
	if err != nil {
		return nil, err
	}
	l = netutil.LimitListener(l, maxConnections)
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

// bind opens an address that a setting or flag names. What a restart will not mend
// is a [usageError].
func bind(network, address, name string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err == nil {
		return l, nil
	}
	if network == "unix" {
		address = "unix:" + address
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err // without the address, which the messages below have
	}
	_, malformed := errors.AsType[*net.AddrError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: another process listens there: stop it, or choose another %s", address, name)
	case malformed, unknown: // such as a port of 99999, or a host that there is not
		return nil, usagef(`listen on %s: %w: %s wants host and port, such as "127.0.0.1:8465"`, address, err, name)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, usagef("listen on %s: %w: %s wants an address that this user may open", address, err, name)
	default:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
}

// serveHTTP serves until ctx ends, and then lets requests under way finish.
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
