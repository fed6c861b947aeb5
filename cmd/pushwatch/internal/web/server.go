package web

import (
	"log"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	headerTimeout  = 5 * time.Second // for a request's header, and for a TLS handshake
	requestTimeout = time.Minute     // for a whole request; none for a stream
	answerTimeout  = 2 * time.Minute // for request and answer; a stream has its own
	// idleTimeout is longer than the minute for which proxies commonly keep a connection, so
	// that they close it first, and send no request on one that is being closed.
	idleTimeout = 65 * time.Second
	maxHeader   = 20 << 10 // bytes; a cursor may have 16 KiB
)

// NewServer returns a server for h. It must accept connections from a [Listener].
func NewServer(h *Handler, logger *zap.Logger) *http.Server {
	return &http.Server{
		Handler: h, ConnContext: withConn, ConnState: connState,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // OPTIONS * needs a token too
		// By default a connection may buffer a megabyte before authentication.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 128 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ErrorLog: log.New(newServerLog(logger), "", 0),
	}
}

// A serverLog logs the server's messages about connections. Clients can cause any number of
// them, so only some lines per minute are written.
type serverLog struct{ log *zap.Logger }

func newServerLog(logger *zap.Logger) serverLog {
	const linesPerMinute = 10
	return serverLog{logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, linesPerMinute, 0)
	}))}
}

// Write implements [io.Writer].
func (l serverLog) Write(line []byte) (int, error) {
	l.log.Warn("connection failed", zap.String("error", strings.TrimSpace(string(line))))
	return len(line), nil
}
