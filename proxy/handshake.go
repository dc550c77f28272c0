package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
)

// HandshakeFailed logs err, by which crypto/tls gave up the handshake of c: at
// info, since anyone who connects can bring it about, and at error where the
// fault is ours. A connection that we have closed ourselves is no failure.
func (e *Engine) HandshakeFailed(c *Conn, err error) {
	site := e.siteOf(c)
	if site == nil || site.Default.Root.Core.ErrorLog == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	level, why := handshakeFault(err)
	l := site.Default.Root.Core.ErrorLog
	if l.Enabled(context.Background(), level) {
		l.LogAttrs(context.Background(), level, why+" while SSL handshaking, client: "+c.RemoteAddr+", server: "+c.Listener.Address, slog.Uint64("cid", c.ID))
	}
}

// handshakeFault says in nginx's words, where it has some, whose fault err is.
func handshakeFault(err error) (level Level, why string) {
	if fail := (*Fail)(nil); errors.As(err, &fail) {
		return fail.Level, fail.Reason
	}
	text := err.Error()
	switch {
	case errors.Is(err, io.EOF):
		return LevelInfo, "client closed connection"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return LevelInfo, "peer closed connection in SSL handshake"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return LevelInfo, "client timed out"
	case text == "tls: no certificates configured": // what ssl_reject_handshake comes down to
		return LevelInfo, "handshake rejected"
	case strings.HasPrefix(text, "tls: failed to sign"), strings.HasPrefix(text, "tls: internal error"):
		level = LevelError
	default:
		level = LevelInfo
	}
	return level, "SSL handshake failed (" + text + ")"
}
