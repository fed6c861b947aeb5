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
	headerTimeout  = 5 * time.Second // for the header of a request, and a TLS handshake
	requestTimeout = time.Minute     // for all of a request; a stream has none
	answerTimeout  = 2 * time.Minute // for request and answer; a stream has its own
	// idleTimeout is longer than the minute for which proxies keep a connection, so that
	// they close it and do not send a request on one that is just being closed.
	idleTimeout = 65 * time.Second
	maxHeader   = 20 << 10 // bytes: a cursor may have 16 KiB
)

// NewServer returns a server of h. It has to accept from a [Listener].
func NewServer(h *Handler, logger *zap.Logger) *http.Server {
	return &http.Server{
		Handler: h, ConnContext: withConn, ConnState: connState,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // OPTIONS * needs a token as everything does
		// The defaults let a connection buffer a megabyte before it is authenticated.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 128 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ErrorLog: log.New(newServerLog(logger), "", 0),
	}
}

// A serverLog logs what the server says of connections. Clients can cause it as often as
// they like, so only some lines a minute are written.
type serverLog struct{ log *zap.Logger }

func newServerLog(logger *zap.Logger) serverLog {
	const linesPerMinute = 10
	return serverLog{logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, linesPerMinute, 0)
	}))}
}

// Write implements [io.Writer].
func (l serverLog) Write(line []byte) (int, error) {
	l.log.Warn("serve connection", zap.String("error", strings.TrimSpace(string(line))))
	return len(line), nil
}
