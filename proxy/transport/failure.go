package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"alicorn/proxy"
)

// note logs a message about the connection, which has no request yet, to the error log of
// the address's default server.
func (o *opening) note(level proxy.Level, text string) {
	site := o.e.Site(o.info)
	if site == nil || site.Default.Root.Core.ErrorLog == nil {
		return
	}
	l := site.Default.Root.Core.ErrorLog
	if l.Enabled(context.Background(), level) {
		l.LogAttrs(context.Background(), level, text+", client: "+o.info.RemoteAddr+", server: "+o.info.Listener.Address, slog.Uint64("cid", o.info.ID))
	}
}

// fail logs err, which ends the connection. fault returns the level and the message; doing
// is the end of the line, such as "while SSL handshaking". If the server itself has closed
// the connection, fail logs nothing.
func (o *opening) fail(err error, doing string, fault func(err error) (proxy.Level, string)) {
	if o.state.Load() == stateClosed {
		return
	}
	level, why := fault(err)
	o.note(level, why+" "+doing)
}

// wireFault returns nginx's message for the err of a client that has left or was silent for
// too long; "" for any other.
func wireFault(err error, doing string) string {
	switch {
	case errors.Is(err, io.EOF):
		return "client closed connection"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "peer closed connection in " + doing
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "client timed out"
	}
	return ""
}

// headerFault returns the level and the message for an err of the PROXY header. As in nginx,
// a malformed header is logged as an error: the proxy in front and this address disagree.
func headerFault(err error) (level proxy.Level, why string) {
	if why = wireFault(err, "PROXY header"); why != "" {
		return proxy.LevelInfo, why
	}
	return proxy.LevelError, err.Error()
}

// handshakeFault returns the level and the message for an err of crypto/tls. The message is
// nginx's if nginx has one. The level is error for a fault of the server, and info for one
// that any client can cause.
func handshakeFault(err error) (level proxy.Level, why string) {
	if fail := (*proxy.Fail)(nil); errors.As(err, &fail) {
		return fail.Level, fail.Reason
	}
	if why = wireFault(err, "SSL handshake"); why != "" {
		return proxy.LevelInfo, why
	}
	level = proxy.LevelInfo
	switch text := err.Error(); {
	case text == "tls: no certificates configured": // as ssl_reject_handshake sets it up
		return level, "handshake rejected"
	case strings.HasPrefix(text, "tls: failed to sign"), strings.HasPrefix(text, "tls: internal error"):
		level = proxy.LevelError
	}
	return level, "SSL handshake failed (" + err.Error() + ")"
}
